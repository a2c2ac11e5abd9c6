import type { Repository } from '../oci/repository.ts'
import { OciError } from '../oci/oci-error.ts'
import { type Challenge, parseChallenges } from './challenge.ts'
import { type HttpExchange, readAll } from './http-exchange.ts'

/** A token's life when its answer does not tell (distribution, "Token Authentication"), in seconds. */
const DEFAULT_EXPIRY_S = 60
/** A token is replaced when less than this part of its life is left. */
const REFRESH_AT = 0.2
const MAX_TOKEN_BYTES = 256 * 1024

interface Token {
  readonly value: string
  readonly refreshAtMs: number
}

export interface TokenSourceOptions {
  readonly exchange: HttpExchange
  /** The upstream's own base URL, which decides where tokens may be asked for. */
  readonly base: URL
  readonly onRequest: () => void
}

/** Gets the bearer tokens of one upstream, one for each repository, and keeps them while they last. */
export class TokenSource {
  readonly #options: TokenSourceOptions
  readonly #tokens = new Map<Repository, Promise<Token>>()

  constructor(options: TokenSourceOptions) {
    this.#options = options
  }

  /** The token that is there for a repository already. */
  async known(repository: Repository): Promise<string | undefined> {
    const token = await this.#tokens.get(repository)?.catch(() => undefined)
    return token !== undefined && performance.now() < token.refreshAtMs ? token.value : undefined
  }

  /**
   * Answers a 401: gets a token as its challenge says. Callers that come at the same time share one request.
   *
   * @throws {OciError} `UNAUTHORIZED` when the challenge is none that we can answer
   */
  async answer(header: string | undefined, repository: Repository, refused: string | undefined): Promise<string> {
    const bearer = parseChallenges(header ?? '').find(({ scheme }) => scheme === 'bearer')
    if (bearer === undefined) {
      throw new OciError('UNAUTHORIZED', `${this.#options.base.host} wants credentials, and none are configured`)
    }
    const pending = this.#tokens.get(repository)
    const known = await pending?.catch(() => undefined)
    // Another call may have got a new one since the refused one was sent.
    if (known !== undefined && known.value !== refused && performance.now() < known.refreshAtMs) return known.value
    let current = this.#tokens.get(repository)
    if (current === pending || current === undefined) {
      const request = this.#request(bearer, repository)
      current = request
      this.#tokens.set(repository, request)
      request.catch(() => this.#tokens.get(repository) === request && this.#tokens.delete(repository))
    }
    return (await current).value
  }

  async #request({ parameters }: Challenge, repository: Repository): Promise<Token> {
    const { exchange, base, onRequest } = this.#options
    const url = tokenUrl(parameters, repository, base)
    onRequest()
    const startMs = performance.now()
    const signal = AbortSignal.timeout(30_000)
    const response = await exchange.send({ method: 'GET', url, headers: {}, signal })
    const body = await readAll(response, MAX_TOKEN_BYTES)
    if (response.status !== 200) {
      const code = response.status === 429 ? 'TOOMANYREQUESTS' : response.status < 500 ? 'UNAUTHORIZED' : 'UNKNOWN'
      throw new OciError(code, `${url.host} gives no token: status ${response.status}`)
    }
    const { value, expiresInS } = readToken(body, url)
    return { value, refreshAtMs: startMs + expiresInS * 1_000 * (1 - REFRESH_AT) }
  }
}

function tokenUrl(parameters: Challenge['parameters'], repository: Repository, base: URL): URL {
  const url = URL.parse(parameters['realm'] ?? '')
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new OciError('UNAUTHORIZED', `${base.host} names no realm where a token could be had`)
  }
  if (base.protocol === 'https:' && url.protocol === 'http:') {
    throw new OciError('UNAUTHORIZED', `${base.host} names a realm without https: ${url.origin}`)
  }
  if (parameters['service'] !== undefined) url.searchParams.set('service', parameters['service'])
  url.searchParams.set('scope', parameters['scope'] ?? `repository:${repository}:pull`)
  return url
}

function readToken(body: Buffer, url: URL): { value: string; expiresInS: number } {
  try {
    const answer = JSON.parse(body.toString()) as Record<string, unknown>
    const value = answer['token'] ?? answer['access_token']
    const expiresIn = answer['expires_in']
    if (typeof value === 'string' && /^[!-~]+$/.test(value)) {
      return { value, expiresInS: typeof expiresIn === 'number' && expiresIn > 0 ? expiresIn : DEFAULT_EXPIRY_S }
    }
  } catch {
    // Falls through: the same error says that it was no token.
  }
  throw new OciError('UNAUTHORIZED', `${url.host} answers with something that is no token`)
}
