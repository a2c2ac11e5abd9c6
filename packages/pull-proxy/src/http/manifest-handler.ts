import type { ServerResponse } from 'node:http'
import type { Content } from '../content/content-store.ts'
import type { TagResolver } from '../coordination/tag-resolver.ts'
import type { Flights } from '../flight/flights.ts'
import type { Digest } from '../oci/digest.ts'
import { MANIFEST_MAX_BYTES, manifestTypeOf } from '../oci/manifest.ts'
import { OciError } from '../oci/oci-error.ts'
import { parseReference } from '../oci/reference.ts'
import type { ProxyStats } from '../status/proxy-stats.ts'
import type { Target } from '../upstream/upstreams.ts'
import { isNotModified } from './conditional.ts'

/** Answers `GET` and `HEAD` of `/v2/<name>/manifests/<reference>`. */
export class ManifestHandler {
  readonly #flights: Flights
  readonly #tags: TagResolver
  readonly #stats: ProxyStats

  constructor(flights: Flights, tags: TagResolver, stats: ProxyStats) {
    this.#flights = flights
    this.#tags = tags
    this.#stats = stats
  }

  async handle(target: Target, text: string, response: ServerResponse, signal: AbortSignal): Promise<void> {
    const reference = parseReference(text)
    const digest =
      reference.kind === 'digest' ? reference.digest : (await this.#tags.resolve(target, reference.tag, signal)).digest
    const etag = `"${digest}"`
    if (isNotModified(response.req, etag)) {
      response.writeHead(304, { 'docker-content-digest': digest, etag }).end()
      return
    }
    await this.#send(target, digest, response)
  }

  /** A manifest is small and named by its digest: it is fetched for a `HEAD` too, so that what is answered can be had. */
  async #send(target: Target, digest: Digest, response: ServerResponse): Promise<void> {
    const { content: opened, source } = await this.#flights.open(digest, { ...target, kind: 'manifests' })
    await using content = opened
    this.#stats.responses[source]++
    const bytes = await readWhole(content)
    response.writeHead(200, {
      'content-type': manifestTypeOf(bytes),
      'content-length': bytes.length,
      'docker-content-digest': digest,
      etag: `"${digest}"`,
      'x-layerlock-source': source,
    })
    if (response.req.method === 'HEAD') {
      response.end()
      return
    }
    response.end(bytes, () => this.#stats.sent('clients', bytes.length))
  }
}

async function readWhole(content: Content): Promise<Buffer> {
  if (content.size > MANIFEST_MAX_BYTES) {
    throw new OciError('MANIFEST_INVALID', `the manifest has ${content.size} bytes, more than ${MANIFEST_MAX_BYTES}`)
  }
  const bytes = Buffer.allocUnsafeSlow(content.size)
  for (let position = 0; position < bytes.length;) {
    const count = await content.read(bytes.subarray(position), position)
    if (count === 0) throw new OciError('UNKNOWN', 'the manifest ends too early')
    position += count
  }
  return bytes
}
