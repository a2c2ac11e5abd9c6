import { Agent, request as undiciRequest } from 'undici'

/** One HTTP call to the lock server. */
export interface TransportRequest {
  readonly method: 'GET' | 'POST' | 'DELETE'
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
  readonly signal: AbortSignal
}

export interface TransportResponse {
  readonly status: number
  readonly retryAfter: string | undefined
  readonly text: string
}

/** How calls reach the server. Rejects when there was no whole answer. */
export interface Transport extends AsyncDisposable {
  send(request: TransportRequest): Promise<TransportResponse>
}

/** How long connecting may take, in milliseconds: less than one try, so that a try that fails can be repeated. */
const CONNECT_TIMEOUT_MS = 3_000

/** Over undici's own connections: about twice as fast as `fetch`. */
export class UndiciTransport implements Transport {
  // The time limits are the caller's signal; undici's own would end long polls.
  readonly #agent = new Agent({ connect: { timeout: CONNECT_TIMEOUT_MS }, headersTimeout: 0, bodyTimeout: 0 })

  async send({ method, url, headers, body, signal }: TransportRequest): Promise<TransportResponse> {
    const response = await undiciRequest(url, { dispatcher: this.#agent, method, headers, body: body ?? null, signal })
    const retryAfter = response.headers['retry-after']
    return {
      status: response.statusCode,
      retryAfter: Array.isArray(retryAfter) ? retryAfter[0] : retryAfter,
      text: await response.body.text(),
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy()
  }
}

/** Over a `fetch` of the caller's: other runtimes, interception in tests. */
export class FetchTransport implements Transport {
  readonly #fetch: typeof globalThis.fetch

  constructor(fetch: typeof globalThis.fetch) {
    this.#fetch = fetch
  }

  async send({ method, url, headers, body, signal }: TransportRequest): Promise<TransportResponse> {
    const response = await this.#fetch(url, { method, headers, signal, body: body ?? null })
    return {
      status: response.status,
      retryAfter: response.headers.get('retry-after') ?? undefined,
      text: await response.text(),
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve()
  }
}
