import { Agent, request as undiciRequest } from 'undici'
import { AbortScope } from './abort-scope.ts'
import { Exchange, TryTimeoutError } from './exchange.ts'
import { orAborted } from './sleep.ts'

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

/**
 * Over a `fetch` of the caller's: other runtimes, interception in tests. Keeps to the signal and the time limit also
 * where that `fetch` ignores its signal.
 */
export class FetchTransport implements Transport {
  readonly #fetch: typeof globalThis.fetch

  constructor(fetch: typeof globalThis.fetch) {
    this.#fetch = fetch
  }

  async send({ timeoutMs, ...request }: TransportRequest): Promise<TransportResponse> {
    using scope = new AbortScope([request.signal], timeoutMs)
    try {
      return await orAborted(this.#exchange({ ...request, signal: scope.signal }), scope.signal)
    } catch (cause) {
      if (!scope.isTimedOut) throw cause
      throw new TryTimeoutError(`no answer within ${timeoutMs} ms`, { cause })
    }
  }

  async stream(request: TransportRequest): Promise<TransportStream> {
    const { signal } = request
    const response = await orAborted(this.#fetchUnlessAborted(request), signal)
    return {
      status: response.status,
      contentType: response.headers.get('content-type') ?? undefined,
      retryAfter: response.headers.get('retry-after') ?? undefined,
      body: chunks(response.body, signal),
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve()
  }

  async #exchange(request: TransportRequest): Promise<TransportResponse> {
    const response = await this.#fetchUnlessAborted(request)
    const retryAfter = response.headers.get('retry-after') ?? undefined
    return { status: response.status, retryAfter, text: await response.text() }
  }

  async #fetchUnlessAborted({ method, url, headers, body, signal }: TransportRequest): Promise<Response> {
    signal?.throwIfAborted()
    const response = await this.#fetch(url, { method, headers, signal: signal ?? null, body: body ?? null })
    if (signal?.aborted !== true) return response
    // Nobody waits for it any more: its connection must not stay open for that.
    await response.body?.cancel()
    throw signal.reason
  }
}

/** The chunks of a body, until the signal is aborted. */
async function* chunks(
  body: ReadableStream<Uint8Array> | null,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, void> {
  if (body === null) return
  const reader = body.getReader()
  try {
    for (;;) {
      const { done, value } = await orAborted(reader.read(), signal)
      if (done) return
      yield value
    }
  } finally {
    void reader.cancel().catch(() => undefined)
  }
}
