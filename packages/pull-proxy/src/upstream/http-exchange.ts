import type { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import { OciError } from '../oci/oci-error.ts'
import { unlessAborted } from '../unless-aborted.ts'
import { AddressGuard } from './address-guard.ts'
import { Connections } from './connections.ts'
import type { Environment } from './environment-proxy.ts'
import { redirectedHeaders, redirectTarget } from './redirect.ts'
import type { UpstreamTls } from './upstream-options.ts'

/** How long an upstream may take, in milliseconds. */
export interface UpstreamTimeouts {
  readonly connectMs: number
  readonly headersMs: number
  /** The longest silence in the middle of a body. */
  readonly idleMs: number
}

export const DEFAULT_UPSTREAM_TIMEOUTS: UpstreamTimeouts = Object.freeze({
  connectMs: 10_000,
  headersMs: 30_000,
  idleMs: 30_000,
})

export interface HttpExchangeOptions {
  readonly timeouts: UpstreamTimeouts
  readonly tls?: UpstreamTls | undefined
  /**
   * Reaches public hosts only, and only by https, whoever names them. Where an HTTP proxy stands in between, it is the
   * proxy that resolves names: then only local names, and addresses that stand in a URL, can be refused here. Default false.
   */
  readonly publicOnly?: boolean | undefined
  /** What `publicOnly` goes by. Default: the system's resolver, and public addresses as the IANA lists them. */
  readonly guard?: AddressGuard | undefined
  /** Where proxies are named; see {@link EnvironmentProxy}. Default: the process's. */
  readonly environment?: Environment | undefined
}

export interface ExchangeRequest {
  readonly method: 'GET' | 'HEAD' | 'POST'
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  /** The body of a `POST`; such a request is not redirected. */
  readonly body?: string | undefined
  /** `manual` gives back a redirect as the answer that it is. Default `follow`. */
  readonly redirect?: 'follow' | 'manual' | undefined
  readonly signal: AbortSignal
}

export interface ExchangeResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** Must be read to its end or destroyed. */
  readonly body: Readable
  /** Who answered: after redirects another one than was asked. */
  readonly url: URL
}

const MAX_REDIRECTS = 5
/** What is read of an unwanted body to keep its connection; a larger one costs more than a new connection. */
const MAX_DRAINED_BYTES = 64 * 1024
const MAX_DRAIN_MS = 1_000

/** Plain HTTP to upstreams: connections, time limits, redirects. Knows nothing of registries. */
export class HttpExchange implements AsyncDisposable {
  readonly #connections: Connections
  readonly #timeouts: UpstreamTimeouts
  readonly #guard: AddressGuard | undefined
  readonly #insecure: boolean

  /** @throws {Error} for certificates that are none, and for a proxy in the environment that cannot be used */
  constructor({ timeouts, tls, publicOnly, guard, environment = process.env }: HttpExchangeOptions) {
    this.#timeouts = timeouts
    this.#insecure = tls?.insecure === true
    this.#guard = publicOnly === true ? (guard ?? new AddressGuard()) : undefined
    this.#connections = new Connections({
      connectMs: timeouts.connectMs,
      tls,
      environment,
      lookup: this.#guard?.lookup,
    })
  }

  /**
   * Sends a request and follows redirects. The same headers go to each hop of the same scheme, host and port; another one
   * is told no more than what content is wanted, and no credentials: storage behind a registry refuses them, and they are
   * none of that host's business.
   *
   * @throws {OciError} `UNKNOWN` when there is no answer, `DENIED` for a host that `publicOnly` refuses
   */
  async send(request: ExchangeRequest): Promise<ExchangeResponse> {
    let { url, headers } = request
    const visited = new Set<string>()
    while (visited.size <= MAX_REDIRECTS) {
      visited.add(url.href)
      const response = await this.#sendOnce({ ...request, url, headers })
      if (request.redirect === 'manual' || request.method === 'POST') return response
      const target = this.#redirectTarget(response)
      if (target === undefined) return response
      if (visited.has(target.href)) throw new OciError('UNKNOWN', `${url.host} redirects in a circle`)
      headers = redirectedHeaders(headers, { from: url, to: target })
      url = target
    }
    throw new OciError('UNKNOWN', `${request.url.host} redirects more than ${MAX_REDIRECTS} times`)
  }

  #redirectTarget(response: ExchangeResponse): URL | undefined {
    try {
      const target = redirectTarget(response, this.#insecure)
      if (target !== undefined) discard(response)
      return target
    } catch (error) {
      discard(response)
      throw error
    }
  }

  async #sendOnce({ method, url, headers, body, signal }: ExchangeRequest): Promise<ExchangeResponse> {
    this.#guard?.check(url)
    const { dispatcher, proxy } = this.#connections.for(url)
    let response: Dispatcher.ResponseData
    try {
      const answering = dispatcher.request({
        origin: url.origin,
        path: url.pathname + url.search,
        method,
        // Content must come as it is: its digest is that of the bytes as stored.
        headers: { 'accept-encoding': 'identity', 'user-agent': 'layerlock', ...headers },
        body: body ?? null,
        // By itself undici closes the connection after each `HEAD`.
        reset: false,
        signal,
        headersTimeout: this.#timeouts.headersMs,
        bodyTimeout: this.#timeouts.idleMs,
      })
      // Without a connection it would be told of an abort only when the attempt to connect is over.
      response = await unlessAborted(answering, signal)
    } catch (cause) {
      signal.throwIfAborted()
      if (cause instanceof OciError) throw cause
      const via = proxy === undefined ? '' : ` through the proxy ${proxy.host}`
      throw new OciError('UNKNOWN', `${url.host} gives no answer${via}: ${describe(cause)}`, { cause })
    }
    return { status: response.statusCode, headers: singleValues(response.headers), body: response.body, url }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connections[Symbol.asyncDispose]()
  }
}

/** Lets go of a response whose body nobody wants, and of its connection only when the body is long or slow. */
export function discard({ body, headers }: ExchangeResponse): void {
  body.on('error', () => undefined)
  if (Number(headers['content-length'] ?? 0) > MAX_DRAINED_BYTES) return void body.destroy()
  const timer = setTimeout(() => body.destroy(), MAX_DRAIN_MS).unref()
  body.once('close', () => clearTimeout(timer))
  let drained = 0
  body.on('data', ({ length }: Buffer) => {
    drained += length
    if (drained > MAX_DRAINED_BYTES) body.destroy()
  })
}

/** Reads a body of which no more than `maxBytes` are wanted. @throws {OciError} when it is larger, or breaks off */
export async function readAll({ body, url }: ExchangeResponse, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > maxBytes) throw new OciError('UNKNOWN', `${url.host} sends more than ${maxBytes} bytes`)
      chunks.push(chunk)
    }
  } catch (cause) {
    if (cause instanceof OciError) throw cause
    throw new OciError('UNKNOWN', `${url.host} broke off: ${describe(cause)}`, { cause })
  }
  return Buffer.concat(chunks)
}

/** An error in a few words without credentials: network errors name host and port only. */
export function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (error instanceof AggregateError && error.errors.length > 0) return describe(error.errors[0])
  return error.message === '' ? error.name : error.message
}

function singleValues(headers: Record<string, string | string[] | undefined>): Record<string, string> {
  const entries = Object.entries(headers).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, Array.isArray(value) ? value.join(', ') : value]],
  )
  return Object.fromEntries(entries) as Record<string, string>
}
