import { OciError } from '../oci/oci-error.ts'
import { basicAuthorization, type Credentials } from './credentials/credential-source.ts'
import { discard, type ExchangeResponse, type HttpExchange, readAll } from './http-exchange.ts'
import { retryAfterMs } from './upstream-error.ts'

/** A token's life when its answer does not tell (distribution, "Token Authentication"), in seconds. */
const DEFAULT_EXPIRY_S = 60
const MAX_TOKEN_BYTES = 256 * 1024
const MAX_REDIRECTS = 3
const CLIENT_ID = 'layerlock'

/** What a challenge asks for. */
export interface WantedToken {
  readonly realm: URL
  readonly service: string | undefined
  readonly scopes: readonly string[]
}

export interface IssuedToken {
  readonly value: string
  readonly expiresInS: number
}

export interface TokenRequestOptions {
  readonly exchange: HttpExchange
  readonly credentials: Credentials | undefined
  /** Tells why a URL that the token server redirects to must not be asked. */
  readonly refusalOf: (url: URL) => OciError | undefined
  readonly onRequest: () => void
  readonly signal: AbortSignal
}

/**
 * Asks a token server (distribution, "Token Authentication" and "OAuth2 Token Authentication"): by `GET`, with a password
 * by Basic, which all of them know; an identity token goes by `POST`. Where one of the two is not known, by the other.
 *
 * @throws {OciError} as the token server refuses, `UNKNOWN` when it fails. No error shows what was sent or answered
 */
export async function requestToken(wanted: WantedToken, options: TokenRequestOptions): Promise<IssuedToken> {
  const response = await sendFor(wanted, options)
  const { host } = response.url
  if (response.status !== 200) {
    discard(response)
    throw refusalOf(response, options.credentials !== undefined)
  }
  return readToken(await readAll(response, MAX_TOKEN_BYTES), host)
}

async function sendFor(wanted: WantedToken, options: TokenRequestOptions): Promise<ExchangeResponse> {
  const { credentials } = options
  if (credentials === undefined) return get(wanted, {}, options)
  if (credentials.kind === 'basic') {
    const { username, password } = credentials
    const response = await get(wanted, { authorization: basicAuthorization(username, password) }, options)
    if (response.status !== 405) return response
    discard(response)
    return post(wanted, { grant_type: 'password', username, password }, options)
  }
  const { token, username } = credentials
  const response = await post(wanted, { grant_type: 'refresh_token', refresh_token: token }, options)
  if ((response.status !== 404 && response.status !== 405) || username === undefined) return response
  discard(response)
  return get(wanted, { authorization: basicAuthorization(username, token) }, options)
}

async function get(
  { realm, service, scopes }: WantedToken,
  headers: Record<string, string>,
  { exchange, refusalOf: refusalOfUrl, onRequest, signal }: TokenRequestOptions,
): Promise<ExchangeResponse> {
  let url = new URL(realm)
  if (service !== undefined) url.searchParams.set('service', service)
  for (const scope of scopes) url.searchParams.append('scope', scope)
  for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
    onRequest()
    const response = await exchange.send({ method: 'GET', url, headers, redirect: 'manual', signal })
    const { location } = response.headers
    if (response.status < 300 || response.status > 399 || location === undefined) return response
    discard(response)
    const target = URL.parse(location, url.href)
    if (target === null) throw new OciError('UNAUTHORIZED', `${url.host} redirects to something that is no URL`)
    const refusal = refusalOfUrl(target)
    if (refusal !== undefined) throw refusal
    url = target
  }
  throw new OciError('UNAUTHORIZED', `${realm.host} redirects more than ${MAX_REDIRECTS} times`)
}

async function post(
  { realm, service, scopes }: WantedToken,
  grant: Readonly<Record<string, string>>,
  { exchange, onRequest, signal }: TokenRequestOptions,
): Promise<ExchangeResponse> {
  const form = new URLSearchParams({ ...grant, client_id: CLIENT_ID })
  if (service !== undefined) form.set('service', service)
  // In a form several scopes are one field (RFC 6749, 3.3), other than in a query.
  form.set('scope', scopes.join(' '))
  onRequest()
  return exchange.send({
    method: 'POST',
    url: realm,
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: form.toString(),
    redirect: 'manual',
    signal,
  })
}

function refusalOf({ status, headers, url: { host } }: ExchangeResponse, withCredentials: boolean): OciError {
  const message = `${host} gives no token ${withCredentials ? 'for the configured credentials' : 'without credentials'}`
  if (status === 429) {
    const options = { retryAfterMs: retryAfterMs(headers['retry-after']) }
    return new OciError('TOOMANYREQUESTS', `${host} gives no token now: status 429`, options)
  }
  return new OciError(status < 500 ? 'UNAUTHORIZED' : 'UNKNOWN', `${message}: status ${status}`)
}

function readToken(body: Buffer, host: string): IssuedToken {
  try {
    const answer = JSON.parse(body.toString()) as Record<string, unknown>
    const value = [answer['token'], answer['access_token']].find((token) => token !== undefined && token !== '')
    const expiresIn = answer['expires_in']
    if (typeof value === 'string' && /^[!-~]+$/.test(value)) {
      return { value, expiresInS: typeof expiresIn === 'number' && expiresIn > 0 ? expiresIn : DEFAULT_EXPIRY_S }
    }
  } catch {
    // Falls through: the same error says that it was no token, and shows nothing of it.
  }
  throw new OciError('UNAUTHORIZED', `${host} answers with something that is no token`)
}
