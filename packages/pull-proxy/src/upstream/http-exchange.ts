import type { Readable } from 'node:stream'
import { Agent, type Dispatcher } from 'undici'
import { OciError } from '../oci/oci-error.ts'
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
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

/** Plain HTTP to upstreams: connections, time limits, redirects. Knows nothing of registries. */
export class HttpExchange implements AsyncDisposable {
  readonly #agent: Agent

  constructor({ timeouts: { connectMs, headersMs, idleMs } }: HttpExchangeOptions) {
    this.#agent = new Agent({ connect: { timeout: connectMs }, headersTimeout: headersMs, bodyTimeout: idleMs })
  }

  /**
   * Sends a request and follows redirects. The same headers go to each hop, a `Range` too, but to another host no
   * `Authorization`: storage behind a registry refuses it, and it is none of that host's business.
   *
   * @throws {OciError} `UNKNOWN` when there is no answer
   */
  async send(request: ExchangeRequest): Promise<ExchangeResponse> {
    let { url, headers } = request
    for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
      const response = await this.#sendOnce({ ...request, url, headers })
      const location = response.headers['location']
      if (request.redirect === 'manual' || request.method === 'POST') return response
      if (!REDIRECTS.has(response.status) || location === undefined) return response
      discard(response)
      const target = URL.parse(location, url.href)
      if (target === null || !/^https?:$/.test(target.protocol)) {
        throw new OciError('UNKNOWN', `${url.host} redirects to something that is no http URL`)
      }
      if (url.protocol === 'https:' && target.protocol === 'http:') {
        throw new OciError('UNKNOWN', `${url.host} redirects from https to http`)
      }
      if (target.host !== url.host) headers = withoutAuthorization(headers)
      url = target
    }
    throw new OciError('UNKNOWN', `${request.url.host} redirects more than ${MAX_REDIRECTS} times`)
  }

  async #sendOnce({ method, url, headers, body, signal }: ExchangeRequest): Promise<ExchangeResponse> {
    let response: Dispatcher.ResponseData
    try {
      // Content must come as it is: its digest is that of the bytes as stored.
      const sent = { 'accept-encoding': 'identity', 'user-agent': 'layerlock', ...headers }
      response = await this.#agent.request({
        origin: url.origin,
        path: url.pathname + url.search,
        method,
        headers: sent,
        body: body ?? null,
        signal,
      })
    } catch (cause) {
      signal.throwIfAborted()
      throw new OciError('UNKNOWN', `${url.host} gives no answer: ${describe(cause)}`, { cause })
    }
    return { status: response.statusCode, headers: singleValues(response.headers), body: response.body, url }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy()
  }
}

/** Lets go of a response whose body nobody wants. */
export function discard({ body }: ExchangeResponse): void {
  body.on('error', () => undefined)
  body.destroy()
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

function withoutAuthorization(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name.toLowerCase() !== 'authorization'))
}

function singleValues(headers: Record<string, string | string[] | undefined>): Record<string, string> {
  const entries = Object.entries(headers).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, Array.isArray(value) ? value.join(', ') : value]],
  )
  return Object.fromEntries(entries) as Record<string, string>
}
