import { Agent, request as undiciRequest } from 'undici'
import { Exchange, TryTimeoutError } from './exchange.ts'

/** One HTTP call to the lock server. */
export interface TransportRequest {
  readonly method: 'GET' | 'POST' | 'DELETE'
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
  readonly signal: AbortSignal | undefined
  /** After which a {@link TryTimeoutError} is thrown, in milliseconds. Default: never. */
  readonly timeoutMs?: number | undefined
}

export interface TransportResponse {
  readonly status: number
  readonly retryAfter: string | undefined
  readonly text: string
}

/** An answer whose body is read as it comes; the request's signal closes it. */
export interface TransportStream {
  readonly status: number
  readonly contentType: string | undefined
  readonly retryAfter: string | undefined
  readonly body: AsyncIterable<Uint8Array>
}

/** How calls reach the server. Rejects when there was no whole answer. */
export interface Transport extends AsyncDisposable {
  send(request: TransportRequest): Promise<TransportResponse>
  /** For an answer that has no end: resolves with its head. */
  stream(request: TransportRequest): Promise<TransportStream>
}

/** How long connecting may take, in milliseconds: less than one try, so that a try that fails can be repeated. */
const CONNECT_TIMEOUT_MS = 3_000

export interface UndiciTransportOptions {
  /** Certificates of authorities (PEM) that are trusted instead of the well-known ones. */
  readonly ca?: string | undefined
}

/** Over undici's own connections: about twice as fast as `fetch`. */
export class UndiciTransport implements Transport {
  readonly #agent: Agent

  constructor({ ca }: UndiciTransportOptions = {}) {
    const connect = { timeout: CONNECT_TIMEOUT_MS, ...(ca === undefined ? {} : { ca }) }
    // The time limits are the caller's; undici's own would end long polls.
    this.#agent = new Agent({ connect, headersTimeout: 0, bodyTimeout: 0 })
  }

  async send({ method, url, headers, body, signal, timeoutMs }: TransportRequest): Promise<TransportResponse> {
    signal?.throwIfAborted()
    const pathAt = url.indexOf('/', url.indexOf('://') + 3)
    const exchange = new Exchange(signal, timeoutMs)
    const target = { origin: url.slice(0, pathAt), path: url.slice(pathAt) }
    this.#agent.dispatch({ ...target, method, headers, body: body ?? null }, exchange)
    return exchange.answer
  }

  async stream({ method, url, headers, body, signal }: TransportRequest): Promise<TransportStream> {
    const options = { dispatcher: this.#agent, method, headers, body: body ?? null }
    const response = await undiciRequest(url, { ...options, ...(signal === undefined ? {} : { signal }) })
    // A connection that is closed while nobody reads tells whoever reads next, and must not end the process.
    response.body.on('error', () => undefined)
    const { 'retry-after': retryAfter, 'content-type': contentType } = response.headers
    return {
      status: response.statusCode,
      contentType: Array.isArray(contentType) ? contentType[0] : contentType,
      retryAfter: Array.isArray(retryAfter) ? retryAfter[0] : retryAfter,
      body: response.body,
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

  async send({ method, url, headers, body, signal, timeoutMs }: TransportRequest): Promise<TransportResponse> {
    const timeout = timeoutMs === undefined ? undefined : AbortSignal.timeout(timeoutMs)
    const signals = [signal, timeout].filter((each) => each !== undefined)
    try {
      const response = await this.#fetch(url, { method, headers, signal: AbortSignal.any(signals), body: body ?? null })
      return {
        status: response.status,
        retryAfter: response.headers.get('retry-after') ?? undefined,
        text: await response.text(),
      }
    } catch (cause) {
      if (timeout?.aborted !== true) throw cause
      throw new TryTimeoutError(`no answer within ${timeoutMs} ms`, { cause })
    }
  }

  async stream({ method, url, headers, body, signal }: TransportRequest): Promise<TransportStream> {
    const response = await this.#fetch(url, { method, headers, signal: signal ?? null, body: body ?? null })
    return {
      status: response.status,
      contentType: response.headers.get('content-type') ?? undefined,
      retryAfter: response.headers.get('retry-after') ?? undefined,
      body: response.body ?? new ReadableStream({ start: (controller) => controller.close() }),
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve()
  }
}
