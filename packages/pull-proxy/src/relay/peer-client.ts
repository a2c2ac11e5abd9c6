import type { Readable } from 'node:stream'
import { Agent, type Dispatcher } from 'undici'
import { parseContentRange } from '../oci/byte-range.ts'
import type { ContentId } from '../oci/content-id.ts'
import { describe } from '../upstream/http-exchange.ts'
import { type Peer, peerContentPath, PeerError } from './peer.ts'

export interface PeerClientOptions {
  /** The cluster's token, if it has one. */
  readonly token: string | undefined
  /** How long connecting may take, in milliseconds. */
  readonly connectTimeoutMs: number
  /** The longest silence, before the headers or in mid-body, in milliseconds. */
  readonly idleTimeoutMs: number
}

/** How long a peer is not asked again for a blob of which it sent wrong bytes, in milliseconds. */
const BLAME_MS = 10 * 60_000
const MAX_BLAMED = 10_000

/** Reads blobs from other nodes' peer APIs, while they still arrive there. */
export class PeerClient implements AsyncDisposable {
  readonly #agent: Agent
  readonly #token: string | undefined
  /** By endpoint and digest: until when. */
  readonly #blamed = new Map<string, number>()

  constructor({ token, connectTimeoutMs, idleTimeoutMs }: PeerClientOptions) {
    this.#agent = new Agent({
      connect: { timeout: connectTimeoutMs },
      headersTimeout: idleTimeoutMs,
      bodyTimeout: idleTimeoutMs,
    })
    this.#token = token
  }

  /** Opens a blob from an offset on. @throws {PeerError} */
  async open(
    { node, endpoint }: Peer,
    id: ContentId,
    { offset, signal }: { readonly offset: number; readonly signal: AbortSignal },
  ): Promise<{ readonly size: number; readonly body: Readable }> {
    const headers: Record<string, string> = {}
    if (this.#token !== undefined) headers['authorization'] = `Bearer ${this.#token}`
    if (offset > 0) headers['range'] = `bytes=${offset}-`
    let response: Dispatcher.ResponseData
    try {
      const { origin } = new URL(endpoint)
      response = await this.#agent.request({ origin, path: peerContentPath(id), method: 'GET', headers, signal })
    } catch (cause) {
      throw new PeerError('unreachable', `${node} gives no answer: ${describe(cause)}`, { cause })
    }
    const size = sizeOf(response, offset)
    if (size !== undefined) return { size, body: response.body }
    response.body.on('error', () => undefined).destroy()
    if (response.statusCode === 404) throw new PeerError('absent', `${node} does not have ${id}`)
    throw new PeerError('unreachable', `${node} answers ${response.statusCode}`)
  }

  /** A peer sent wrong bytes: for a while it is not asked for this blob again. */
  blame({ endpoint }: Peer, id: ContentId): void {
    if (this.#blamed.size >= MAX_BLAMED) this.#blamed.delete(this.#blamed.keys().next().value!)
    this.#blamed.set(`${endpoint} ${id}`, performance.now() + BLAME_MS)
  }

  isBlamed({ endpoint }: Peer, id: ContentId): boolean {
    const untilMs = this.#blamed.get(`${endpoint} ${id}`)
    return untilMs !== undefined && performance.now() < untilMs
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy()
  }
}

/** The whole size, if the answer is the one that was asked for. */
function sizeOf({ statusCode, headers }: Dispatcher.ResponseData, offset: number): number | undefined {
  const single = (name: string) => {
    const value = headers[name]
    return Array.isArray(value) ? undefined : value
  }
  if (statusCode === 200 && offset === 0) {
    const length = single('content-length')
    return length !== undefined && /^\d{1,15}$/.test(length) ? Number(length) : undefined
  }
  const range = parseContentRange(single('content-range'))
  return statusCode === 206 && range?.start === offset && range.end === range.total ? range.total : undefined
}
