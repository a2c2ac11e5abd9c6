import type { ServerResponse } from 'node:http'
import type { AccessGate } from '../access/access-gate.ts'
import type { Flights } from '../flight/flights.ts'
import { contentIdOf } from '../oci/content-id.ts'
import type { Digest } from '../oci/digest.ts'
import type { ProxyStats } from '../status/proxy-stats.ts'
import type { Target } from '../upstream/upstreams.ts'
import { isNotModified } from './conditional.ts'
import type { ManifestCache } from './manifest-cache.ts'
import { sendContent } from './send-content.ts'

export interface BlobHandlerOptions {
  readonly flights: Flights
  readonly gate: AccessGate
  /** Knows the sizes of blobs whose manifests went by. */
  readonly cache: ManifestCache
  readonly stats: ProxyStats
}

/** Answers `GET` and `HEAD` of `/v2/<name>/blobs/<digest>`. */
export class BlobHandler {
  readonly #options: BlobHandlerOptions

  constructor(options: BlobHandlerOptions) {
    this.#options = options
  }

  async handle(target: Target, digest: Digest, response: ServerResponse, signal: AbortSignal): Promise<void> {
    const { flights, gate, cache, stats } = this.#options
    const id = contentIdOf(digest, target.upstream.domain)
    await gate.admit(target, 'blobs', digest)
    const headers = {
      'content-type': 'application/octet-stream',
      'docker-content-digest': digest,
      etag: `"${digest}"`,
    }
    if (isNotModified(response.req, headers.etag)) {
      response.writeHead(304, headers).end()
      return
    }
    // A `HEAD` asks for the size only; it is no reason to fetch the blob. When a fetch fails that was asked for through
    // another repository, this one may have the blob all the same.
    const opened =
      response.req.method === 'HEAD'
        ? await flights.peek(id, false).catch(() => undefined)
        : await gate.whileAdmitted(target, flights.open(id, { ...target, kind: 'blobs', knownSize: cache.sizeOf(id) }))
    if (opened === undefined) {
      const size = await target.upstream.sizeOf(target, 'blobs', digest, signal)
      const all = { ...headers, 'content-length': size, 'accept-ranges': 'bytes', 'x-layerlock-source': 'upstream' }
      response.writeHead(200, all).end()
      return
    }
    const { source } = opened
    await using content = opened.content
    stats.responses[source]++
    const onSent = (bytes: number) => stats.sent('clients', bytes)
    await sendContent({ response, content, headers: { ...headers, 'x-layerlock-source': source }, onSent })
  }
}
