import { LRUCache } from 'lru-cache'
import { OciError } from '../oci/oci-error.ts'
import type { ContentKind, TagTarget } from '../upstream/registry-client.ts'
import type { Target } from '../upstream/upstreams.ts'

/** How many facts are remembered at the most. */
const MAX_FACTS = 100_000
/** How long upstream may take to say whether somebody may read something, in milliseconds. */
const MAX_ASKING_MS = 8_000

export interface AccessGateOptions {
  /** How long upstream's yes to a client is good, in milliseconds. */
  readonly accessTtlMs: number
  /** Ends all questions when the proxy stops: clients share their answers. */
  readonly signal: AbortSignal
}

/**
 * Lets clients read what upstream lets them read, where they come with credentials of their own. That content is here,
 * was fetched for somebody else, or is being fetched, is no licence to read it: upstream must have accepted this client
 * for this repository, and must have this content in this repository. Both are remembered for a while. It is upstream's
 * word about its own content only, since that is kept apart from that of others; see `ContentId`.
 */
export class AccessGate {
  /** Clients that upstream has accepted, and content that it has in a repository; each while it lasts. */
  readonly #facts: LRUCache<string, true>
  /** Questions that are on their way; who asks the same meanwhile gets the same answer. */
  readonly #pending = new Map<string, Promise<TagTarget | undefined>>()
  readonly #signal: AbortSignal

  constructor({ accessTtlMs, signal }: AccessGateOptions) {
    this.#signal = signal
    // A time of 0 would mean for ever.
    this.#facts = new LRUCache({ max: MAX_FACTS, ttl: Math.max(1, accessTtlMs) })
  }

  /**
   * Resolves when the client may read this. Without credentials of its own (`auth = "proxy"`) it always may.
   *
   * @param reference a digest, or a tag
   * @returns what a tag names, where upstream was asked and has said so
   * @throws {OciError} as upstream refuses, with its challenge where it wants credentials
   */
  async admit(target: Target, kind: ContentKind, reference: string): Promise<TagTarget | undefined> {
    const { visitor } = target
    if (visitor === undefined) return undefined
    const isTag = !reference.includes(':')
    const isMember = isTag || this.#facts.has(contentFact(target, reference))
    if (isMember && this.#facts.has(visitorFact(target, visitor.id))) return undefined
    const question = `${visitorFact(target, visitor.id)} ${kind}/${reference}`
    const pending = this.#pending.get(question)
    if (pending !== undefined) return pending
    const answer = this.#ask(target, kind, reference)
    this.#pending.set(question, answer)
    try {
      const named = await answer
      this.#facts.set(visitorFact(target, visitor.id), true)
      if (!isTag) this.contains(target, reference)
      return named
    } finally {
      this.#pending.delete(question)
    }
  }

  /**
   * Reads something for an admitted client. Where that shows that upstream no longer takes its credentials, it is admitted
   * no longer, so that its next request hears it from upstream itself.
   *
   * @throws what reading fails with
   */
  async whileAdmitted<T>(target: Target, reading: Promise<T>): Promise<T> {
    try {
      return await reading
    } catch (failure) {
      const { visitor } = target
      const isRefusal = failure instanceof OciError && (failure.code === 'UNAUTHORIZED' || failure.code === 'DENIED')
      if (visitor !== undefined && isRefusal) this.#facts.delete(visitorFact(target, visitor.id))
      throw failure
    }
  }

  async #ask(target: Target, kind: ContentKind, reference: string): Promise<TagTarget | undefined> {
    const late = AbortSignal.timeout(MAX_ASKING_MS)
    try {
      return await target.upstream.admit(target, kind, reference, AbortSignal.any([this.#signal, late]))
    } catch (error) {
      if (!late.aborted || error instanceof OciError) throw error
      const { name } = target.upstream
      throw new OciError('UNKNOWN', `${name} did not say within ${MAX_ASKING_MS} ms whether this may be read`)
    }
  }

  /** Upstream has this content in this repository, as it said to somebody whom it let read there. */
  contains(target: Target, digest: string): void {
    if (target.visitor !== undefined) this.#facts.set(contentFact(target, digest), true)
  }
}

function visitorFact({ upstream, repository }: Target, id: string): string {
  return `${id} ${upstream.name}/${repository}`
}

function contentFact({ upstream, repository }: Target, digest: string): string {
  return `${upstream.name}/${repository}@${digest}`
}
