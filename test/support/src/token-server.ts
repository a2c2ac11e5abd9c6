import { createPrivateKey, randomUUID, sign, X509Certificate } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'

import { type Answer, errorAnswer, textAnswer } from './answer.ts'
import type { SelfSignedCertificate } from './certificate.ts'
import { type RecordedServer, startRecordedServer } from './recorded-server.ts'
import { parseBasicAuthorization, type RegistryUsers } from './registry-users.ts'

/** Who gets tokens, and how they are signed. */
export interface TokenServerOptions {
  /** Signs the tokens; a registry trusts it by its `rootcertbundle`. */
  readonly certificate: SelfSignedCertificate
  readonly users: RegistryUsers
  /** Seconds for which a token is good. Default 300; a registry adds a minute for clocks that differ. */
  readonly expiresInSeconds?: number | undefined
}

/** What a token allows, in the words of the distribution's specification. */
export interface TokenAccess {
  readonly type: 'repository'
  readonly name: string
  readonly actions: readonly string[]
}

/** A token that was given out. */
export interface IssuedToken {
  /** Undefined for who came without credentials. */
  readonly user: string | undefined
  readonly access: readonly TokenAccess[]
}

/** Gives out the tokens that a `docker-registry` with token authentication wants. */
export interface TokenServer extends RecordedServer {
  /** Where tokens are asked for: what the registry's challenge names. */
  readonly realm: string
  readonly service: string
  readonly issuer: string
  readonly certificate: SelfSignedCertificate
  /** All tokens that clients got, oldest first. */
  readonly issued: readonly IssuedToken[]
  /** A token of any rights, which no client asked for. */
  sign(token: IssuedToken): string
  /** For `grant_type=refresh_token`. */
  refreshTokenOf(user: string): string
}

const service = 'registry.test'
const issuer = 'tokens.test'

/**
 * Starts a token server as the distribution's specification has it: `GET` with basic credentials or none, `POST` of a
 * form with `grant_type=password` or `refresh_token`. Whoever may not have what they ask for gets a token without it;
 * wrong credentials get 401.
 */
export async function startTokenServer(options: TokenServerOptions): Promise<TokenServer> {
  const { certificate, users, expiresInSeconds = 300 } = options
  const issued: IssuedToken[] = []
  const refreshTokens = new Map<string, string>()

  const server = await startRecordedServer({}, async ({ request, record }): Promise<Answer> => {
    if (record.kind !== 'token') return errorAnswer(404, 'UNSUPPORTED')
    const asked = await parametersOf(request)
    const user = userOf(request, asked)
    if (user === null || (user !== undefined && !users.has(user))) return errorAnswer(401, 'UNAUTHORIZED')
    if (asked.get('service') !== service) return errorAnswer(400, 'UNSUPPORTED')
    const scopes = asked.getAll('scope').flatMap((scope) => scope.split(' '))
    const token = { user, access: scopes.flatMap((scope) => accessOf(scope, user)) }
    issued.push(token)
    const signed = signToken(token)
    const offline = asked.get('access_type') === 'offline' || asked.get('offline_token') === 'true'
    const refresh = offline && user !== undefined ? { refresh_token: refreshTokenOf(user) } : {}
    const body = { token: signed, access_token: signed, expires_in: expiresInSeconds, ...refresh }
    return textAnswer(200, JSON.stringify({ ...body, issued_at: new Date().toISOString() }))
  })

  /** Undefined without credentials, null with wrong ones. */
  function userOf(request: IncomingMessage, asked: URLSearchParams): string | undefined | null {
    const refreshToken = asked.get('refresh_token')
    if (refreshToken !== null) return refreshTokens.get(refreshToken) ?? null
    const name = asked.get('username')
    const given =
      name === null
        ? parseBasicAuthorization(request.headers.authorization)
        : { user: name, password: asked.get('password') ?? '' }
    if (given === undefined) return undefined
    return users.get(given.user)?.password === given.password ? given.user : null
  }

  /** What is left of a scope for a user; nothing when that is nothing. */
  function accessOf(scope: string, user: string | undefined): TokenAccess[] {
    const [, name] = /^repository:(.+):[a-z,*]+$/.exec(scope) ?? []
    const pulls = user === undefined ? [] : (users.get(user)?.pulls ?? [])
    return name !== undefined && pulls.includes(name) ? [{ type: 'repository', name, actions: ['pull'] }] : []
  }

  function signToken({ user, access }: IssuedToken): string {
    const nowSeconds = Math.floor(Date.now() / 1000)
    const times = { nbf: nowSeconds - 10, iat: nowSeconds, exp: nowSeconds + expiresInSeconds }
    return signJwt({ iss: issuer, sub: user ?? '', aud: service, ...times, jti: randomUUID(), access }, certificate)
  }

  function refreshTokenOf(user: string): string {
    const token = randomUUID()
    refreshTokens.set(token, user)
    return token
  }

  return Object.assign(server, {
    realm: `${server.url}/token`,
    service,
    issuer,
    certificate,
    issued,
    sign: signToken,
    refreshTokenOf,
  })
}

async function parametersOf(request: IncomingMessage): Promise<URLSearchParams> {
  if (request.method === 'POST') return new URLSearchParams(await text(request))
  return new URL(request.url ?? '/', 'http://localhost').searchParams
}

/** A JWT (RFC 7519) signed with ES256, with the certificate in its `x5c` header. */
function signJwt(claims: object, { key, cert }: SelfSignedCertificate): string {
  const x5c = [new X509Certificate(cert).raw.toString('base64')]
  const parts = [{ typ: 'JWT', alg: 'ES256', x5c }, claims].map((part) =>
    Buffer.from(JSON.stringify(part)).toString('base64url'),
  )
  const signed = parts.join('.')
  // JOSE wants both numbers side by side (RFC 7518, 3.4), not OpenSSL's DER.
  const signature = sign('sha256', Buffer.from(signed), { key: createPrivateKey(key), dsaEncoding: 'ieee-p1363' })
  return `${signed}.${signature.toString('base64url')}`
}
