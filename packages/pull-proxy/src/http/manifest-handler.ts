import type { ServerResponse } from 'node:http'
import type { AccessGate } from '../access/access-gate.ts'
import type { Flights, Opened } from '../flight/flights.ts'
import { contentIdOf } from '../oci/content-id.ts'
import type { Digest } from '../oci/digest.ts'
import { parseReference } from '../oci/reference.ts'
import type { ProxyStats } from '../status/proxy-stats.ts'
import type { ResolvedTag } from '../tags/last-known-tags.ts'
import type { TagResolver } from '../tags/tag-resolver.ts'
import { unlessAborted } from '../unless-aborted.ts'
import type { Target } from '../upstream/upstreams.ts'
import { isNotModified } from './conditional.ts'
import type { Manifest, ManifestCache } from './manifest-cache.ts'

export interface ManifestHandlerOptions {
  readonly flights: Flights
  readonly tags: TagResolver
  readonly gate: AccessGate
  readonly cache: ManifestCache
  readonly stats: ProxyStats
}

interface Found extends Manifest {
  readonly digest: Digest
  readonly source: Opened['source']
}

/** Answers `GET` and `HEAD` of `/v2/<name>/manifests/<reference>`. */
export class ManifestHandler {
  readonly #options: ManifestHandlerOptions

  constructor(options: ManifestHandlerOptions) {
    this.#options = options
  }

  async handle(target: Target, text: string, response: ServerResponse, signal: AbortSignal): Promise<void> {
    const reference = parseReference(text)
    if (reference.kind === 'tag') return this.#answerTag(target, reference.tag, response, signal)
    await this.#options.gate.admit(target, 'manifests', reference.digest)
    if (answeredNotModified(response, reference.digest)) return
    this.#send(response, await this.#find(target, reference.digest))
  }

  /** A tag is answered only with a manifest that can be served: the one that it names now, or the last that was. */
  async #answerTag(target: Target, tag: string, response: ServerResponse, signal: AbortSignal): Promise<void> {
    const { gate, tags } = this.#options
    const proof = await gate.admit(target, 'manifests', tag)
    let resolved: ResolvedTag
    let found: Found
    try {
      resolved = await gate.whileAdmitted(target, tags.resolve(target, tag, proof, signal))
      gate.contains(target, resolved.digest)
      if (answeredNotModified(response, resolved.digest)) {
        await tags.served(target, tag, resolved)
        return
      }
      try {
        found = await this.#find(target, resolved.digest, resolved.size)
      } catch (failure) {
        const asking = tags.resolveAnew(target, tag, { gone: resolved.digest, failure, signal })
        const again = await gate.whileAdmitted(target, asking)
        if (again === undefined) throw failure
        resolved = again
        gate.contains(target, resolved.digest)
        found = await this.#find(target, resolved.digest, resolved.size)
      }
    } catch (error) {
      if (await this.#answerStale(target, tag, response, error)) return
      throw error
    }
    this.#send(response, found)
    await tags.served(target, tag, resolved)
  }

  /** Answers with what the tag named last, if that is allowed and can be had. */
  async #answerStale(target: Target, tag: string, response: ServerResponse, failure: unknown): Promise<boolean> {
    const { tags, gate, stats } = this.#options
    const last = await tags.lastKnown(target, tag, failure)
    if (last === undefined) return false
    const { digest } = last.target
    gate.contains(target, digest)
    const inTime = AbortSignal.timeout(MAX_STALE_WAIT_MS)
    const found = await unlessAborted(this.#find(target, digest), inTime).catch(() => undefined)
    if (found === undefined) return false
    const { upstream } = target
    stats.staleTag(upstream.name)
    const ageS = Math.round(last.ageMs / 1_000)
    response.setHeader('warning', `299 - "${upstream.name} did not say what ${tag} names: this was ${ageS} s ago"`)
    if (!answeredNotModified(response, digest)) this.#send(response, found)
    return true
  }

  /** A manifest is small and named by its digest: it is fetched for a `HEAD` too, so that what is answered can be had. */
  async #find(target: Target, digest: Digest, size?: number): Promise<Found> {
    const { cache, flights, gate } = this.#options
    const id = contentIdOf(digest, target.upstream.domain)
    const cached = cache.get(id)
    if (cached !== undefined) return { ...cached, digest, source: 'store' }
    const knownSize = size ?? cache.sizeOf(id)
    const opening = flights.open(id, { ...target, kind: 'manifests', knownSize })
    const { content: opened, source } = await gate.whileAdmitted(target, opening)
    await using content = opened
    return { ...(await cache.read(id, content)), digest, source }
  }

  #send(response: ServerResponse, { bytes, mediaType, digest, source }: Found): void {
    const { stats } = this.#options
    stats.responses[source]++
    response.writeHead(200, {
      'content-type': mediaType,
      'content-length': bytes.length,
      'docker-content-digest': digest,
      etag: `"${digest}"`,
      'x-layerlock-source': source,
    })
    if (response.req.method === 'HEAD') response.end()
    else response.end(bytes, () => stats.sent('clients', bytes.length))
  }
}

/** How long the manifest of a stale tag may take to be had, in milliseconds: upstream is away, but other nodes may have it. */
const MAX_STALE_WAIT_MS = 3_000

function answeredNotModified(response: ServerResponse, digest: Digest): boolean {
  const etag = `"${digest}"`
  if (!isNotModified(response.req, etag)) return false
  response.writeHead(304, { 'docker-content-digest': digest, etag }).end()
  return true
}
