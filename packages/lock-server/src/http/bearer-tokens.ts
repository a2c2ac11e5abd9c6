import { createHash, timingSafeEqual } from 'node:crypto'
import { ProtocolError } from '@layerlock/protocol'
import type { FastifyInstance } from 'fastify'

/** Calls that load balancers and monitors make, which have no token. */
const OPEN_PATHS: ReadonlySet<string> = new Set(['/healthz', '/readyz'])

/** Lets only calls through that carry one of these tokens. With no tokens, all are. */
export function registerBearerTokens(app: FastifyInstance, tokens: readonly string[]): void {
  if (tokens.length === 0) return
  const known = tokens.map(digest)
  app.addHook('onRequest', async (request) => {
    if (OPEN_PATHS.has(request.routeOptions.url ?? '')) return
    const given = /^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? '')?.[1]
    const givenDigest = digest(given ?? '')
    // All are compared, each in constant time, so that the time tells nothing of the tokens.
    const matches = known.filter((token) => timingSafeEqual(token, givenDigest)).length
    if (given === undefined || matches === 0) {
      throw new ProtocolError('unauthorized', 'Authorization: a known bearer token is needed')
    }
  })
}

function digest(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}
