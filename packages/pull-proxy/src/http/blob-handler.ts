import type { ServerResponse } from 'node:http'
import type { Flights } from '../flight/flights.ts'
import type { Digest } from '../oci/digest.ts'
import type { ProxyStats } from '../status/proxy-stats.ts'
import type { Target } from '../upstream/upstreams.ts'
import { isNotModified } from './conditional.ts'
import { sendContent } from './send-content.ts'

/** Answers `GET` and `HEAD` of `/v2/<name>/blobs/<digest>`. */
export class BlobHandler {
  readonly #flights: Flights
  readonly #stats: ProxyStats

  constructor(flights: Flights, stats: ProxyStats) {
    this.#flights = flights
    this.#stats = stats
  }

  async handle(target: Target, digest: Digest, response: ServerResponse, signal: AbortSignal): Promise<void> {
    const headers = {
      'content-type': 'application/octet-stream',
      'docker-content-digest': digest,
      etag: `"${digest}"`,
    }
    if (isNotModified(response.req, headers.etag)) {
      response.writeHead(304, headers).end()
      return
    }
    // A `HEAD` asks for the size only; it is no reason to fetch the blob.
    const opened =
      response.req.method === 'HEAD'
        ? await this.#flights.peek(digest)
        : await this.#flights.open(digest, { ...target, kind: 'blobs' })
    if (opened === undefined) {
      const size = await target.upstream.sizeOf(target.repository, 'blobs', digest, signal)
      const all = { ...headers, 'content-length': size, 'accept-ranges': 'bytes', 'x-layerlock-source': 'upstream' }
      response.writeHead(200, all).end()
      return
    }
    const { source } = opened
    await using content = opened.content
    this.#stats.responses[source]++
    const onSent = (bytes: number) => this.#stats.sent('clients', bytes)
    await sendContent({ response, content, headers: { ...headers, 'x-layerlock-source': source }, onSent })
  }
}
