import { OciError } from '../oci/oci-error.ts'
import type { Repository } from '../oci/repository.ts'
import { BearerGrants } from './bearer-grants.ts'
import { type Challenge, parseChallenges } from './challenge.ts'
import { basicAuthorization, type Credentials, type CredentialSource } from './credentials/credential-source.ts'
import type { HttpExchange } from './http-exchange.ts'
import { plainHttpRefusal, realmRefusal, type RealmRules } from './realm.ts'
import { type IssuedToken, requestToken, type WantedToken } from './token-request.ts'

/** How long credentials and a token may take to be had, in milliseconds. */
const TOKEN_TIMEOUT_MS = 30_000

export interface TokenSourceOptions {
  readonly exchange: HttpExchange
  /** The upstream's own base URL, which decides where tokens may be asked for. */
  readonly base: URL
  /** Default: none, so anonymous. */
  readonly credentials?: CredentialSource | undefined
  /** Hosts that may be asked for tokens besides those of the upstream's own domain. Default: none. */
  readonly trustedRealms?: readonly string[] | undefined
  /** Lets credentials go over plain http to another machine. Default false. */
  readonly insecure?: boolean | undefined
  /** Called for each request to a token server. */
  readonly onRequest: () => void
}

/** Answers the challenges of one upstream. One that takes Basic is sent it unasked from then on. */
export class TokenSource {
  readonly #options: TokenSourceOptions
  readonly #rules: RealmRules
  readonly #grants = new BearerGrants((wanted, repository) => this.#request(wanted, repository))
  /** Whether the upstream's last challenge was answered with Basic. */
  #usesBasic = false
  /** Whether the last credentials were refused, so that a source that remembers them should look again. */
  #refused = false

  constructor(options: TokenSourceOptions) {
    const { base, trustedRealms = [], insecure = false } = options
    this.#options = options
    this.#rules = { base, trustedRealms, insecure }
  }

  /**
   * The value of the `Authorization` header that is there for a repository already.
   *
   * @throws {OciError} when the upstream takes Basic, and the credentials cannot be had now
   */
  async known(repository: Repository): Promise<string | undefined> {
    if (this.#usesBasic) {
      const credentials = await inTime((signal) => this.#credentials(repository, signal), this.#options.base)
      if (credentials?.kind === 'basic') return authorizationOf(credentials)
    }
    return this.#grants.known(repository)
  }

  /**
   * Answers a 401: gives the value of an `Authorization` header as one of its challenges wants it. Bearer goes before
   * Basic. Callers that come at the same time share one request for a token.
   *
   * @param header the response's `WWW-Authenticate`
   * @param refused the `Authorization` that was sent, if any
   * @throws {OciError} `UNAUTHORIZED` when there is no challenge that can be answered, or no token is given;
   *   `TOOMANYREQUESTS` or `UNKNOWN` as the token server fails, `UNKNOWN` when the credentials cannot be had
   */
  async answer(header: string | undefined, repository: Repository, refused: string | undefined): Promise<string> {
    const challenges = parseChallenges(header ?? '')
    if (refused?.startsWith('Basic ') === true) this.#refused = true
    const credentials = await inTime((signal) => this.#credentials(repository, signal), this.#options.base)
    const bearers = challenges
      .filter(({ scheme }) => scheme === 'bearer')
      .map((challenge) => this.#wanted(challenge, repository, credentials))
    const wanted = bearers.find((bearer) => !(bearer instanceof OciError))
    if (wanted !== undefined && !(wanted instanceof OciError)) {
      this.#usesBasic = false
      return this.#grants.answer(wanted, repository, refused)
    }
    if (challenges.some(({ scheme }) => scheme === 'basic') && credentials?.kind === 'basic') {
      return this.#basic(credentials, refused)
    }
    throw bearers[0] ?? this.#unanswerable(challenges, credentials)
  }

  #basic(credentials: Credentials & { kind: 'basic' }, refused: string | undefined): string {
    const { base } = this.#options
    const refusal = plainHttpRefusal(base, this.#rules)
    if (refusal !== undefined) throw refusal
    const authorization = authorizationOf(credentials)
    if (authorization === refused) {
      this.#usesBasic = false
      throw new OciError('UNAUTHORIZED', `${base.host} refuses the credentials that are configured for it`)
    }
    this.#usesBasic = true
    return authorization
  }

  #request(wanted: WantedToken, repository: Repository): Promise<IssuedToken> {
    const { exchange, onRequest } = this.#options
    return inTime(async (signal) => {
      const credentials = await this.#credentials(repository, signal)
      const refusalOf = (url: URL) => realmRefusal(url, this.#rules, credentials !== undefined)
      // The credentials may be others than those that the challenge was read with.
      const refusal = refusalOf(wanted.realm)
      if (refusal !== undefined) throw refusal
      try {
        return await requestToken(wanted, { exchange, credentials, refusalOf, onRequest, signal })
      } catch (error) {
        if (credentials !== undefined && isRefusal(error)) this.#refused = true
        throw error
      }
    }, wanted.realm)
  }

  async #credentials(repository: Repository, signal: AbortSignal): Promise<Credentials | undefined> {
    const fresh = this.#refused
    this.#refused = false
    return this.#options.credentials?.get({ repository, fresh, signal })
  }

  /** What a bearer challenge wants, or why it cannot be had. */
  #wanted({ parameters }: Challenge, repository: Repository, credentials: Credentials | undefined) {
    const { base } = this.#options
    const realm = URL.parse(parameters['realm'] ?? '')
    if (realm === null) return new OciError('UNAUTHORIZED', `${base.host} names no realm where a token could be had`)
    const refusal = realmRefusal(realm, this.#rules, credentials !== undefined)
    if (refusal !== undefined) return refusal
    const scopes = (parameters['scope'] ?? '').split(' ').filter((scope) => scope !== '')
    const wanted: WantedToken = {
      realm,
      service: parameters['service'],
      scopes: scopes.length === 0 ? [`repository:${repository}:pull`] : scopes,
    }
    return wanted
  }

  #unanswerable(challenges: readonly Challenge[], credentials: Credentials | undefined): OciError {
    const { host } = this.#options.base
    // Another's words, so not without end.
    const schemes = challenges
      .map(({ scheme }) => scheme)
      .join(', ')
      .slice(0, 100)
    if (credentials === undefined) {
      return new OciError(
        'UNAUTHORIZED',
        `${host} wants credentials (${schemes || 'no challenge'}), and there are none`,
      )
    }
    const given = credentials.kind === 'basic' ? 'a password' : 'an identity token'
    return new OciError('UNAUTHORIZED', `${host} wants ${schemes || 'nothing that it names'}, and there is ${given}`)
  }
}

function authorizationOf({ username, password }: Credentials & { kind: 'basic' }): string {
  return basicAuthorization(username, password)
}

function isRefusal(error: unknown): boolean {
  return error instanceof OciError && error.code === 'UNAUTHORIZED'
}

/** Ends what takes longer than a token may take. */
async function inTime<T>(run: (signal: AbortSignal) => Promise<T>, { host }: URL): Promise<T> {
  const signal = AbortSignal.timeout(TOKEN_TIMEOUT_MS)
  try {
    return await run(signal)
  } catch (cause) {
    if (cause instanceof OciError || !signal.aborted) throw cause
    throw new OciError('UNKNOWN', `no credentials for ${host} within ${TOKEN_TIMEOUT_MS} ms`, { cause })
  }
}
