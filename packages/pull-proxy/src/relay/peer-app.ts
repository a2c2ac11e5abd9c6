import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import { createApp } from '../http/create-app.ts'
import type { Flights } from '../flight/flights.ts'
import { sendOciError } from '../http/oci-answers.ts'
import { sendContent } from '../http/send-content.ts'
import { type ContentId, contentIdOf, isDomain } from '../oci/content-id.ts'
import { parseDigest } from '../oci/digest.ts'
import { OciError } from '../oci/oci-error.ts'
import type { ProxyStats } from '../status/proxy-stats.ts'
import { peerBlobPath } from './peer.ts'

export interface PeerAppOptions {
  /** Requests that come before it is there wait for it. */
  readonly flights: Promise<Flights>
  readonly stats: ProxyStats
  readonly logger: FastifyBaseLogger
  /** The cluster's token; undefined lets everyone in, which is for loopback only. */
  readonly token: string | undefined
}

/** The face towards the other nodes: what is in the store, or still arriving. It never fetches anything for a peer. */
export function createPeerApp({ flights, stats, logger, token }: PeerAppOptions): FastifyInstance {
  const app = createApp(logger)
  app.get<{ Params: { digest: string }; Querystring: { domain?: unknown } }>(
    peerBlobPath(':digest'),
    (request, reply) => {
      reply.hijack()
      const response = reply.raw
      const serve = async () => {
        checkToken(request.headers.authorization, token)
        const id = readId(request.params.digest, request.query.domain)
        const opened = await (await flights).peek(id)
        if (opened === undefined) throw new OciError('BLOB_UNKNOWN', `${id} is neither stored here nor on its way`)
        await using content = opened.content
        const headers = { 'content-type': 'application/octet-stream', 'x-layerlock-source': opened.source }
        await sendContent({ response, content, headers, onSent: (bytes) => stats.sent('peers', bytes) })
      }
      void serve().catch((error: unknown) => sendOciError(response, error, logger))
    },
  )
  return app
}

/** @throws {OciError} `DIGEST_INVALID` or `NAME_INVALID` */
function readId(digest: string, domain: unknown): ContentId {
  if (domain === undefined || (typeof domain === 'string' && isDomain(domain))) {
    return contentIdOf(parseDigest(digest), domain)
  }
  throw new OciError('NAME_INVALID', 'domain: is no name of an upstream')
}

function checkToken(header: string | undefined, token: string | undefined): void {
  if (token === undefined) return
  const given = /^Bearer +(\S+) *$/i.exec(header ?? '')?.[1] ?? ''
  const [a, b] = [given, token].map((text) => createHash('sha256').update(text).digest())
  if (!timingSafeEqual(a!, b!)) throw new OciError('UNAUTHORIZED', 'the cluster token is missing or wrong')
}
