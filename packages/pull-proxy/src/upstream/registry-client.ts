import type { Readable } from 'node:stream'
import type { Visitor } from '../access/visitor.ts'
import { parseContentRange } from '../oci/byte-range.ts'
import { type Digest, digestOf, isDigest } from '../oci/digest.ts'
import { MANIFEST_MAX_BYTES, MANIFEST_TYPES, manifestTypeOf } from '../oci/manifest.ts'
import { OciError } from '../oci/oci-error.ts'
import type { ProxyStats } from '../status/proxy-stats.ts'
import { discard, type ExchangeResponse, readAll } from './http-exchange.ts'
import type { Patience } from './pauses.ts'
import { RegistryRequests, type RegistryRequestsOptions, type RepositoryScope } from './registry-requests.ts'
import type { Passage } from './request-gate.ts'
import type { TagPolicy } from './upstream-options.ts'

/** What can be fetched by its digest. */
export type ContentKind = 'blobs' | 'manifests'

export interface OpenedContent {
  /** The size of the whole. */
  readonly size: number
  /** The bytes from the wanted offset on. */
  readonly body: Readable
  /** How many bytes of the body come before the wanted offset, because upstream does not know `Range`. */
  readonly surplus: number
}

export interface OpenOptions {
  /** The first byte that is wanted. */
  readonly offset: number
  /** The size of the whole as others have told it; taken where upstream tells none, not by a `HEAD` either. */
  readonly knownSize?: number | undefined
  /** How long pauses may be sat out. Default: as long as for one request. */
  readonly patience?: Patience | undefined
  readonly signal: AbortSignal
}

/** What a tag names now. */
export interface TagTarget {
  readonly digest: Digest
  readonly size: number
  readonly mediaType: string
}

export interface RegistryClientOptions extends RegistryRequestsOptions {
  /** Whether clients use their own credentials. */
  readonly passthrough: boolean
  /** How often in a row a fetch may bring nothing. */
  readonly retries: number
  readonly tags: TagPolicy
}

const ACCEPT_MANIFESTS = { accept: MANIFEST_TYPES.join(', ') }

/** One upstream registry. */
export class RegistryClient implements AsyncDisposable {
  readonly name: string
  /** Whether clients use their own credentials. */
  readonly passthrough: boolean
  /** Keeps its content apart from that of others, where clients use their own credentials; see `ContentId`. */
  readonly domain: string | undefined
  /** How often in a row a fetch may bring nothing. */
  readonly retries: number
  readonly tags: TagPolicy
  readonly #requests: RegistryRequests
  readonly #stats: ProxyStats

  constructor(options: RegistryClientOptions) {
    this.name = options.name
    this.passthrough = options.passthrough
    this.domain = options.passthrough ? options.name : undefined
    this.retries = options.retries
    this.tags = options.tags
    this.#stats = options.stats
    this.#requests = new RegistryRequests(options)
  }

  /**
   * Opens content by its digest from an offset on.
   *
   * @throws {OciError} as upstream refuses, or `UNKNOWN` when it fails or answers nonsense
   */
  async open(
    scope: RepositoryScope,
    { kind, digest }: { readonly kind: ContentKind; readonly digest: Digest },
    { offset, knownSize, patience, signal }: OpenOptions,
  ): Promise<OpenedContent> {
    const path = `${kind}/${digest}`
    const accept = kind === 'manifests' ? ACCEPT_MANIFESTS : {}
    const headers = offset > 0 ? { ...accept, range: `bytes=${offset}-` } : accept
    const fetch = async (passage: Passage) => {
      const response = await this.#requests.send({ method: 'GET', scope, path, headers, signal })
      try {
        const { surplus, size } = this.#placeOf(response, offset)
        const whole = size ?? (await this.#sizeOf(scope, kind, digest, signal).catch(otherwise(knownSize)))
        const opened = { size: whole, body: response.body, surplus }
        passage.leaveAfter(response.body)
        return opened
      } catch (error) {
        discard(response)
        throw error
      }
    }
    const lane = kind === 'blobs' ? 'bodies' : 'answers'
    return this.#requests.through(scope, signal, fetch, { lane, patience })
  }

  /** Resolves a tag. @throws {OciError} as upstream refuses, or `UNKNOWN` when it fails */
  async resolveTag(scope: RepositoryScope, tag: string, signal: AbortSignal, patience?: Patience): Promise<TagTarget> {
    const asked = { scope, path: `manifests/${tag}`, headers: ACCEPT_MANIFESTS, signal }
    const resolve = async () => {
      const response = await this.#requests.send({ ...asked, method: 'HEAD' })
      discard(response)
      const target = targetOf(response)
      if (target !== undefined) return target
      // Some registries tell nothing by HEAD; then the manifest itself says it.
      const whole = await readAll(await this.#requests.send({ ...asked, method: 'GET' }), MANIFEST_MAX_BYTES)
      this.#stats.received('upstream', whole.length)
      return { digest: digestOf(whole), size: whole.length, mediaType: manifestTypeOf(whole) }
    }
    return this.#requests.through(scope, signal, resolve, { patience })
  }

  /**
   * Sees whether upstream lets someone read something. A registry that redirects leaves that to the storage behind it,
   * which is asked for the first byte: it may refuse a `HEAD` that it would answer as a `GET`.
   *
   * @returns what a tag names, where the answer says so
   * @throws {OciError} as upstream refuses (with its challenge, where it wants credentials), or `UNKNOWN`
   */
  async admit(scope: RepositoryScope, kind: ContentKind, reference: string, signal: AbortSignal) {
    const path = `${kind}/${reference}`
    const headers = kind === 'manifests' ? ACCEPT_MANIFESTS : {}
    return this.#requests.through(scope, signal, async () => {
      const response = await this.#requests.send({ method: 'HEAD', scope, path, headers, redirect: 'manual', signal })
      discard(response)
      if (response.status >= 300) {
        const first = { ...headers, range: 'bytes=0-0' }
        discard(await this.#requests.send({ method: 'GET', scope, path, headers: first, signal }))
      }
      return kind === 'manifests' ? targetOf(response) : undefined
    })
  }

  /** The size of a blob. @throws {OciError} as upstream refuses, or `UNKNOWN` when it fails or does not tell */
  async sizeOf(scope: RepositoryScope, kind: ContentKind, digest: Digest, signal: AbortSignal): Promise<number> {
    return this.#requests.through(scope, signal, () => this.#sizeOf(scope, kind, digest, signal))
  }

  /** Passes a list (tags, referrers) through as it is; the query goes with it. @throws {OciError} as upstream refuses */
  async list(scope: RepositoryScope, path: string, query: string, signal: AbortSignal): Promise<ExchangeResponse> {
    const headers = { accept: 'application/json, */*' }
    // Its client reads the body at its own pace, and others should not wait for that.
    return this.#requests.through(scope, signal, () =>
      this.#requests.send({ method: 'GET', scope, path: path + query, headers, signal }),
    )
  }

  /** As {@link RegistryRequests.ping}. */
  ping(visitor: Visitor, signal: AbortSignal): Promise<void> {
    return this.#requests.ping(visitor, signal)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#requests[Symbol.asyncDispose]()
  }

  async #sizeOf(scope: RepositoryScope, kind: ContentKind, digest: Digest, signal: AbortSignal): Promise<number> {
    const headers = kind === 'manifests' ? ACCEPT_MANIFESTS : {}
    const response = await this.#requests.send({ method: 'HEAD', scope, path: `${kind}/${digest}`, headers, signal })
    discard(response)
    const size = parseLength(response.headers['content-length'])
    if (size === undefined) throw new OciError('UNKNOWN', `${this.name} does not tell the size of ${digest}`)
    return size
  }

  /** Where in the whole a body begins. @throws {OciError} `UNKNOWN` when that is not where it should */
  #placeOf({ status, headers }: ExchangeResponse, offset: number): { size: number | undefined; surplus: number } {
    if (status === 200) return { size: parseLength(headers['content-length']), surplus: offset }
    const range = parseContentRange(headers['content-range'])
    if (status === 206 && range?.start === offset) return { size: range.total, surplus: 0 }
    throw new OciError('UNKNOWN', `${this.name} answers ${status} with another range than was asked for`)
  }
}

/** What is known is better than nothing, where upstream itself does not tell. */
function otherwise(knownSize: number | undefined): (failure: unknown) => number {
  return (failure) => {
    if (knownSize === undefined || !(failure instanceof OciError) || failure.code !== 'UNKNOWN') throw failure
    return knownSize
  }
}

/** What the answer to a `HEAD` says of a manifest, if it says all. */
function targetOf({ headers }: ExchangeResponse): TagTarget | undefined {
  const digest = headers['docker-content-digest'] ?? ''
  const size = parseLength(headers['content-length'])
  const mediaType = headers['content-type']?.split(';')[0]?.trim()
  if (!isDigest(digest) || size === undefined || mediaType === undefined) return undefined
  return { digest, size, mediaType }
}

function parseLength(header: string | undefined): number | undefined {
  return header !== undefined && /^\d{1,15}$/.test(header) ? Number(header) : undefined
}
