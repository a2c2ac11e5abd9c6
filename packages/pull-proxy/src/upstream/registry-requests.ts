import type { Visitor } from '../access/visitor.ts'
import { OciError } from '../oci/oci-error.ts'
import type { Repository } from '../oci/repository.ts'
import type { ProxyStats } from '../status/proxy-stats.ts'
import type { CredentialSource } from './credentials/credential-source.ts'
import { discard, type ExchangeResponse, HttpExchange, type UpstreamTimeouts } from './http-exchange.ts'
import { readRateLimit } from './rate-limit.ts'
import type { ClusterLimits } from './cluster-limits.ts'
import { type Entry, type Passage, RequestGate } from './request-gate.ts'
import { unlessAborted } from '../unless-aborted.ts'
import { TokenSource } from './token-source.ts'
import { errorOf } from './upstream-error.ts'
import type { UpstreamTls } from './upstream-options.ts'

/** A repository, and on whose behalf it is read. */
export interface RepositoryScope {
  readonly repository: Repository
  /** Undefined: with the proxy's own credentials. */
  readonly visitor?: Visitor | undefined
}

export interface RegistryRequestsOptions {
  /** The name by which clients ask for the registry, such as `docker.io`. */
  readonly name: string
  readonly url: URL
  readonly credentials?: CredentialSource | undefined
  readonly trustedRealms?: readonly string[] | undefined
  readonly tls?: UpstreamTls | undefined
  /** Reaches public hosts only. */
  readonly publicOnly?: boolean | undefined
  readonly timeouts: UpstreamTimeouts
  /** The most bodies of blobs of this node at a time, and as many other requests. */
  readonly concurrency: number
  readonly limits: ClusterLimits
  readonly stats: ProxyStats
}

export interface RegistryRequest {
  readonly method: 'GET' | 'HEAD'
  readonly scope: RepositoryScope
  /** Below the repository. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly redirect?: 'manual' | undefined
  readonly signal: AbortSignal
}

/** Requests to one registry: who asks, how many at a time, and what upstream says of its limits. */
export class RegistryRequests implements AsyncDisposable {
  readonly #name: string
  readonly #base: URL
  readonly #exchange: HttpExchange
  readonly #tokens: TokenSource
  readonly #gate: RequestGate
  readonly #stats: ProxyStats

  constructor({ name, url, stats, ...options }: RegistryRequestsOptions) {
    const { credentials, trustedRealms, tls, publicOnly, timeouts, concurrency, limits } = options
    this.#name = name
    this.#base = url
    this.#stats = stats
    this.#exchange = new HttpExchange({ timeouts, tls, publicOnly })
    this.#gate = new RequestGate({ concurrency, ...limits })
    const onRequest = () => stats.upstreamRequest('tokens')
    this.#tokens = new TokenSource({
      exchange: this.#exchange,
      base: url,
      credentials,
      trustedRealms,
      insecure: tls?.insecure,
      onRequest,
    })
  }

  /**
   * Does some requests when there is room for them, and tells everyone when upstream wants no more. The room is free again
   * when the work is done, or when the body is over that it leaves after.
   *
   * @throws {OciError} `TOOMANYREQUESTS` without asking upstream, while it wants no requests
   */
  async through<T>(
    { visitor }: Pick<RepositoryScope, 'visitor'>,
    signal: AbortSignal,
    work: (passage: Passage) => Promise<T>,
    entry: Pick<Entry, 'lane' | 'patience'> = {},
  ): Promise<T> {
    const passage = await this.#gate.enter({ ...entry, visitor, signal })
    try {
      const result = await work(passage)
      passage.succeeded()
      return result
    } catch (error) {
      passage.leave()
      if (!(error instanceof OciError) || error.code !== 'TOOMANYREQUESTS') throw error
      this.#stats.rateLimited(this.#name)
      const { retryAfterMs } = passage.limited(error)
      throw new OciError(error.code, error.message, { retryAfterMs, cause: error })
    }
  }

  /** One request, with the visitor's credentials or a token of ours; anything but success is thrown. */
  async send({ method, scope, path, headers, redirect, signal }: RegistryRequest): Promise<ExchangeResponse> {
    const { repository, visitor } = scope
    const url = new URL(`${this.#base.href.replace(/\/+$/, '')}/v2/${repository}/${path}`)
    const authorizations: string[] = []
    const send = (authorization: string | undefined) => {
      if (authorization !== undefined) authorizations.push(authorization)
      this.#stats.upstreamRequest(path.startsWith('blobs/') ? 'blobs' : 'manifests')
      const credentials: Record<string, string> = authorization === undefined ? {} : { authorization }
      return this.#exchange.send({ method, url, headers: { ...headers, ...credentials }, redirect, signal })
    }
    const token =
      visitor === undefined ? await unlessAborted(this.#tokens.known(repository), signal) : visitor.authorization
    let response = await send(token)
    if (response.status === 401 && visitor === undefined && response.url.host === url.host) {
      discard(response)
      const challenge = response.headers['www-authenticate']
      response = await send(await unlessAborted(this.#tokens.answer(challenge, repository, token), signal))
    }
    this.#noteRateLimit(response)
    const { status } = response
    if ((status >= 200 && status < 300) || (redirect === 'manual' && status >= 300 && status < 400)) return response
    const isStorage = response.url.host !== url.host || isSigned(response, url)
    const isRelayed = visitor !== undefined
    throw await errorOf(response, { upstream: this.#name, path, authorizations, isStorage, isRelayed })
  }

  #noteRateLimit({ headers }: ExchangeResponse): void {
    const limit = readRateLimit(headers)
    if (limit !== undefined) this.#stats.rateLimit(this.#name, limit)
  }

  /**
   * Asks the upstream's base on a visitor's behalf: clients learn there whether, and how, they must authenticate.
   *
   * @throws {OciError} `UNAUTHORIZED` with upstream's challenge; `TOOMANYREQUESTS`; `UNKNOWN` when it does not answer
   */
  async ping(visitor: Visitor, signal: AbortSignal): Promise<void> {
    const { authorization } = visitor
    const url = new URL(`${this.#base.href.replace(/\/+$/, '')}/v2/`)
    const headers: Record<string, string> = authorization === undefined ? {} : { authorization }
    await this.through({ visitor }, signal, async () => {
      const response = await this.#exchange.send({ method: 'GET', url, headers, signal })
      if (response.status === 401 || response.status === 429) {
        const authorizations = authorization === undefined ? [] : [authorization]
        throw await errorOf(response, { upstream: this.#name, path: '', authorizations, isRelayed: true })
      }
      discard(response)
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#exchange[Symbol.asyncDispose]()
  }
}

/** Whether a URL is refused that the registry gave out on its own host: those are signed, and end as those of storage do. */
function isSigned({ url, status }: ExchangeResponse, asked: URL): boolean {
  return (status === 400 || status === 403) && url.href !== asked.href && url.search !== ''
}
