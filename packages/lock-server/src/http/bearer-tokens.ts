import { createHash, timingSafeEqual } from 'node:crypto'
import { ProtocolError } from '@layerlock/protocol'
import type { FastifyRequest } from 'fastify'
import type { ApiApp } from './api-app.ts'

/** What a token's bearer may do: a `client` all that programs need, an `operator` everything. */
export type Role = 'client' | 'operator'

/** A bearer token that the server knows. */
export interface AccessToken {
  readonly token: string
  readonly role: Role
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Whose call it is. Without tokens everybody is an operator. */
    role: Role
  }
}

/** Calls that load balancers, monitors and those who look for the documentation make, who have no token. */
const OPEN_PATHS: ReadonlySet<string | undefined> = new Set(['/healthz', '/readyz', '/openapi.json'])

/** Lets only calls through that carry one of these tokens. With no tokens, all are. */
export function registerBearerTokens(app: ApiApp, tokens: readonly AccessToken[]): void {
  app.decorateRequest('role', 'operator')
  if (tokens.length === 0) return
  const known = tokens.map(({ token, role }) => ({ digest: digest(token), role }))
  app.addHook('onRequest', (request, _reply, done) => {
    const given = /^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? '')?.[1]
    const givenDigest = digest(given ?? '')
    // All are compared, each in constant time, so that the time tells nothing of the tokens.
    let match: { readonly role: Role } | undefined
    for (const each of known) if (timingSafeEqual(each.digest, givenDigest)) match = each
    if (given !== undefined && match !== undefined) {
      request.role = match.role
      done()
    } else if (OPEN_PATHS.has(request.routeOptions.url)) {
      done()
    } else {
      done(new ProtocolError('unauthorized', 'Authorization: a known bearer token is needed'))
    }
  })
}

/** @throws {ProtocolError} `forbidden`, saying what to do, unless an operator calls */
export function requireOperator(request: FastifyRequest, otherwise: string): void {
  if (request.role === 'operator') return
  throw new ProtocolError('forbidden', `Authorization: this call needs a token of the role operator; ${otherwise}`)
}

function digest(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}
