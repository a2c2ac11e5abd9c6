import type { Readable } from 'node:stream'
import { parseContentRange } from '../oci/byte-range.ts'
import { type Digest, digestOf, isDigest } from '../oci/digest.ts'
import { MANIFEST_MAX_BYTES, MANIFEST_TYPES, manifestTypeOf } from '../oci/manifest.ts'
import { OciError } from '../oci/oci-error.ts'
import type { Repository } from '../oci/repository.ts'
import type { ProxyStats } from '../status/proxy-stats.ts'
import { discard, type ExchangeResponse, HttpExchange, readAll, type UpstreamTimeouts } from './http-exchange.ts'
import { TokenSource } from './token-source.ts'
import { errorOf } from './upstream-error.ts'

/** What can be fetched by its digest. */
export type ContentKind = 'blobs' | 'manifests'

export interface OpenedContent {
  /** The size of the whole, where upstream tells. */
  readonly size: number | undefined
  /** The bytes from the wanted offset on. */
  readonly body: Readable
  /** How many bytes of the body come before the wanted offset, because upstream does not know `Range`. */
  readonly surplus: number
}

/** What a tag names now. */
export interface TagTarget {
  readonly digest: Digest
  readonly size: number
  readonly mediaType: string
}

export interface RegistryClientOptions {
  /** The name by which clients ask for it, such as `docker.io`. */
  readonly name: string
  readonly url: URL
  readonly timeouts: UpstreamTimeouts
  readonly stats: ProxyStats
}

/** One upstream registry. */
export class RegistryClient implements AsyncDisposable {
  readonly name: string
  readonly #base: URL
  readonly #exchange: HttpExchange
  readonly #tokens: TokenSource
  readonly #stats: ProxyStats

  constructor({ name, url, timeouts, stats }: RegistryClientOptions) {
    this.name = name
    this.#base = url
    this.#exchange = new HttpExchange({ timeouts })
    this.#stats = stats
    const onRequest = () => stats.upstreamRequest('tokens')
    this.#tokens = new TokenSource({ exchange: this.#exchange, base: url, onRequest })
  }

  /**
   * Opens content by its digest from an offset on.
   *
   * @throws {OciError} as upstream refuses, or `UNKNOWN` when it fails or answers nonsense
   */
  async open(
    repository: Repository,
    content: { readonly kind: ContentKind; readonly digest: Digest },
    { offset, signal }: { readonly offset: number; readonly signal: AbortSignal },
  ): Promise<OpenedContent> {
    const { kind, digest } = content
    const headers: Record<string, string> = offset > 0 ? { range: `bytes=${offset}-` } : {}
    if (kind === 'manifests') headers['accept'] = MANIFEST_TYPES.join(', ')
    const response = await this.#request('GET', repository, `${kind}/${digest}`, headers, signal)
    if (response.status === 200) {
      const size = parseLength(response.headers['content-length'])
      return { size, body: response.body, surplus: offset }
    }
    const range = parseContentRange(response.headers['content-range'])
    if (response.status === 206 && range?.start === offset)
      return { size: range.total, body: response.body, surplus: 0 }
    discard(response)
    throw new OciError('UNKNOWN', `${this.name} answers ${response.status} with another range than was asked for`)
  }

  /** Resolves a tag. @throws {OciError} as upstream refuses, or `UNKNOWN` when it fails */
  async resolveTag(repository: Repository, tag: string, signal: AbortSignal): Promise<TagTarget> {
    const path = `manifests/${tag}`
    const headers = { accept: MANIFEST_TYPES.join(', ') }
    const response = await this.#request('HEAD', repository, path, headers, signal)
    discard(response)
    const digest = response.headers['docker-content-digest'] ?? ''
    const size = parseLength(response.headers['content-length'])
    const mediaType = response.headers['content-type']?.split(';')[0]?.trim()
    if (isDigest(digest) && size !== undefined && mediaType !== undefined) return { digest, size, mediaType }
    // Some registries tell nothing by HEAD; then the manifest itself says it.
    const whole = await readAll(await this.#request('GET', repository, path, headers, signal), MANIFEST_MAX_BYTES)
    this.#stats.received('upstream', whole.length)
    return { digest: digestOf(whole), size: whole.length, mediaType: manifestTypeOf(whole) }
  }

  /** The size of a blob. @throws {OciError} as upstream refuses, or `UNKNOWN` when it fails or does not tell */
  async sizeOf(repository: Repository, kind: ContentKind, digest: Digest, signal: AbortSignal): Promise<number> {
    const headers = kind === 'manifests' ? { accept: MANIFEST_TYPES.join(', ') } : {}
    const response = await this.#request('HEAD', repository, `${kind}/${digest}`, headers, signal)
    discard(response)
    const size = parseLength(response.headers['content-length'])
    if (size === undefined) throw new OciError('UNKNOWN', `${this.name} does not tell the size of ${digest}`)
    return size
  }

  /** Passes a list (tags, referrers) through as it is; the query goes with it. @throws {OciError} as upstream refuses */
  async list(repository: Repository, path: string, query: string, signal: AbortSignal): Promise<ExchangeResponse> {
    return this.#request('GET', repository, path + query, { accept: 'application/json, */*' }, signal)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#exchange[Symbol.asyncDispose]()
  }

  /** One request, with a token if one is known or wanted; anything but success is thrown. */
  async #request(
    method: 'GET' | 'HEAD',
    repository: Repository,
    path: string,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<ExchangeResponse> {
    const url = new URL(`${this.#base.href.replace(/\/+$/, '')}/v2/${repository}/${path}`)
    const send = (token: string | undefined) => {
      if (path.startsWith('blobs/')) this.#stats.upstreamRequest('blobs')
      else this.#stats.upstreamRequest('manifests')
      const authorization: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` }
      return this.#exchange.send({ method, url, headers: { ...headers, ...authorization }, signal })
    }
    const token = await this.#tokens.known(repository)
    let response = await send(token)
    if (response.status === 401) {
      discard(response)
      response = await send(await this.#tokens.answer(response.headers['www-authenticate'], repository, token))
    }
    if (response.status >= 200 && response.status < 300) return response
    throw await errorOf(response, this.name, path)
  }
}

function parseLength(header: string | undefined): number | undefined {
  return header !== undefined && /^\d{1,15}$/.test(header) ? Number(header) : undefined
}
