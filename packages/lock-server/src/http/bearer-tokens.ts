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

/** The tokens that a server knows at the time. With none at all, every caller is an operator. */
export class BearerTokens {
  #known: readonly { readonly digest: Buffer; readonly role: Role }[] = []

  constructor(tokens: readonly AccessToken[]) {
    this.#know(tokens)
  }

  /** These count from the next call on, and no others. @throws {RangeError} for an empty list, which would let everybody in */
  replace(tokens: readonly AccessToken[]): void {
    if (tokens.length === 0) throw new RangeError('tokens: an empty list is not allowed; it would let everybody in')
    this.#know(tokens)
  }

  /** What the bearer of this `Authorization` may do; undefined for one who is not known. */
  roleOf(authorization: string | undefined): Role | undefined {
    if (this.#known.length === 0) return 'operator'
    const given = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1]
    const givenDigest = digest(given ?? '')
    // All are compared, each in constant time, so that the time tells nothing of the tokens.
    let role: Role | undefined
    for (const each of this.#known) if (timingSafeEqual(each.digest, givenDigest)) role = each.role
    return given === undefined ? undefined : role
  }

  #know(tokens: readonly AccessToken[]): void {
    this.#known = tokens.map(({ token, role }) => ({ digest: digest(token), role }))
  }
}

/** Lets only calls through whose bearer is known. */
export function registerBearerTokens(app: ApiApp, tokens: BearerTokens): void {
  app.decorateRequest('role', 'operator')
  app.addHook('onRequest', (request, _reply, done) => {
    const role = tokens.roleOf(request.headers.authorization)
    if (role !== undefined) {
      request.role = role
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
