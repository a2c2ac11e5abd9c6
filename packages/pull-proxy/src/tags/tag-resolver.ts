import { createHash } from 'node:crypto'
import type { FastifyBaseLogger } from 'fastify'
import { LRUCache } from 'lru-cache'
import type { Coordinator } from '../coordination/coordinator.ts'
import type { Digest } from '../oci/digest.ts'
import { OciError } from '../oci/oci-error.ts'
import { backOff } from '../pause.ts'
import { Patience } from '../upstream/pauses.ts'
import type { TagTarget } from '../upstream/registry-client.ts'
import type { TagPolicy } from '../upstream/upstream-options.ts'
import type { Target } from '../upstream/upstreams.ts'
import { LastKnownTags, type ResolvedTag } from './last-known-tags.ts'
import { type LastKnown, readTarget, type TagLedger } from './tag-ledger.ts'

export interface TagResolverOptions {
  readonly coordinator: Coordinator
  readonly ledger: TagLedger
  readonly logger: FastifyBaseLogger
  /** Ends all look-ups when the proxy stops: they belong to the cluster, not to the client that asked. */
  readonly signal: AbortSignal
  /** How long upstream may take to say what a tag names, in milliseconds. Default 8,000. */
  readonly maxAskingMs?: number | undefined
  /** The same where there is a last known answer. Default 3,000. */
  readonly maxAskingIfKnownMs?: number | undefined
}

interface Remembered {
  readonly resolved: ResolvedTag
  readonly untilMs: number
}

interface Wish {
  /** What upstream has just said of the tag, if it was asked already. */
  readonly proof?: TagTarget | undefined
  /** What it does not name any more, whoever says so. */
  readonly gone?: Digest | undefined
  readonly signal: AbortSignal
}

/** How long a pinned tag is kept by the lock server, in milliseconds: as long as it keeps anything. */
const PIN_MS = 365 * 24 * 3_600_000
/**
 * How long upstream may take to say what a tag names, all tries together, in milliseconds: clients wait, and there may be
 * a last known answer for them. Less than other nodes wait for this one.
 */
const MAX_ASKING_MS = 8_000
const MAX_ASKING_IF_KNOWN_MS = 3_000
/** How long after an upstream has failed last known answers are given without asking it, in milliseconds. */
const OUTAGE_MS = 5_000
const MAX_REMEMBERED = 10_000
/** Keys of the lock server have 512 bytes at most; the names of repositories and tags could be longer together. */
const MAX_NAME_LENGTH = 400

/** Finds out what tags name: one `HEAD` upstream for the whole cluster, whose answer then serves for a while. */
export class TagResolver {
  readonly #options: TagResolverOptions
  readonly #lastKnown: LastKnownTags
  /** What the cluster knows, as long as it would say the same again. */
  readonly #fresh = new LRUCache<string, Remembered>({ max: MAX_REMEMBERED })
  /** Upstreams that have failed, and until when that is gone by, as `performance.now()`. */
  readonly #outages = new Map<string, { readonly message: string; readonly untilMs: number }>()

  constructor(options: TagResolverOptions) {
    this.#options = options
    this.#lastKnown = new LastKnownTags(options)
  }

  /**
   * Says what a tag names, as the upstream's policy wants it known.
   *
   * @param proof what upstream has just said of the tag, if it was asked already
   * @throws {OciError} as upstream refuses; the signal's reason when the client has gone
   */
  async resolve(target: Target, tag: string, proof: TagTarget | undefined, signal: AbortSignal): Promise<ResolvedTag> {
    const known = this.#fresh.get(nameOf(target, tag))
    if (known !== undefined && performance.now() < known.untilMs) return known.resolved
    return this.#resolve(target, tag, { proof, signal })
  }

  /**
   * Asks again about a tag whose manifest could not be had: that it names this one may be an old story.
   *
   * @returns undefined when the failure says nothing of the kind, the tag is pinned, or upstream stays with it
   * @throws as {@link resolve}
   */
  async resolveAnew(
    target: Target,
    tag: string,
    { gone, failure, signal }: { readonly gone: Digest; readonly failure: unknown; readonly signal: AbortSignal },
  ): Promise<ResolvedTag | undefined> {
    const isGone = failure instanceof OciError && failure.code === 'MANIFEST_UNKNOWN'
    if (!isGone || target.upstream.tags.policy === 'pin') return undefined
    this.#fresh.delete(nameOf(target, tag))
    const resolved = await this.#resolve(target, tag, { gone, signal })
    return resolved.digest === gone ? undefined : resolved
  }

  /** A tag was answered with this: should upstream fail later, it may be again. Never rejects. */
  async served(target: Target, tag: string, resolved: ResolvedTag): Promise<void> {
    const { policy, maxStaleMs } = target.upstream.tags
    if (maxStaleMs === 0 && policy !== 'pin') return
    const isPinned = policy === 'pin' && !resolved.isOwn
    await this.#lastKnown.keep(nameOf(target, tag), { ...resolved, isPinned }, maxStaleMs)
  }

  /** What a tag named last, where upstream's failure is one that allows to go by that. Never rejects. */
  async lastKnown(target: Target, tag: string, failure: unknown): Promise<LastKnown | undefined> {
    if (!isOutage(failure)) return undefined
    return this.#lastKnown.newest(nameOf(target, tag), target.upstream.tags.maxStaleMs)
  }

  async #resolve(target: Target, tag: string, { proof, gone, signal }: Wish): Promise<ResolvedTag> {
    const { upstream, visitor } = target
    const name = nameOf(target, tag)
    const retainMs = retainMsOf(upstream.tags)
    const group = visitor === undefined ? scopeOf(target) : `${scopeOf(target)}@${visitor.id}`
    let isOwn = false
    const work = async (isShared: boolean) => {
      // Where nobody can be asked what the cluster has pinned, it stays what this node has served.
      const pinned = !isShared && upstream.tags.policy === 'pin' ? await this.#lastKnown.own(name) : undefined
      isOwn = pinned === undefined
      return pinned ?? proof ?? (await this.#ask(target, tag))
    }
    const isGood = (value: unknown) => gone === undefined || readTarget(value)?.digest !== gone
    const options = { retainMs, group, isGood, signal: AbortSignal.any([this.#options.signal, signal]) }
    const { value, ageMs } = await this.#options.coordinator.share<TagTarget>(`tag/${name}`, work, options)
    // It came over the wire, from whoever may write to the lock server.
    const { digest, size, mediaType } = readTarget(value) ?? (await work(true))
    const resolved = { digest, size, mediaType, resolvedAtMs: Date.now() - ageMs, isOwn }
    const forMs = Math.min(retainMs - ageMs, upstream.tags.ttlMs)
    if (forMs > 0) this.#fresh.set(name, { resolved, untilMs: performance.now() + forMs })
    return resolved
  }

  /** Asks upstream, unless it has failed just now and there is an answer without it. */
  async #ask(target: Target, tag: string): Promise<TagTarget> {
    const { name } = target.upstream
    const outage = this.#outages.get(name)
    const leftMs = (outage?.untilMs ?? 0) - performance.now()
    if (outage !== undefined && leftMs > 0 && (await this.#hasLastKnown(target, tag))) {
      throw new OciError('UNKNOWN', outage.message, { retryAfterMs: Math.ceil(leftMs) })
    }
    try {
      return await this.#askInTime(target, tag)
    } catch (error) {
      if (!isOutage(error) || error.code !== 'UNKNOWN' || !(await this.#hasLastKnown(target, tag))) throw error
      const { message } = error
      // Only silence makes others wait too; a quick failure may be that of this tag.
      if (error instanceof SilenceError) this.#outages.set(name, { message, untilMs: performance.now() + OUTAGE_MS })
      // With a time to come back all who wait for this node are told at once, and need not find out for themselves.
      throw new OciError('UNKNOWN', message, { retryAfterMs: OUTAGE_MS, cause: error })
    }
  }

  /** Asks upstream, a few times if it fails. */
  async #askInTime(target: Target, tag: string): Promise<TagTarget> {
    const { signal, logger, maxAskingMs = MAX_ASKING_MS, maxAskingIfKnownMs = MAX_ASKING_IF_KNOWN_MS } = this.#options
    const { upstream, repository } = target
    const late = new AbortController()
    const giveUp = (ms: number) =>
      late.abort(new SilenceError(`${upstream.name} did not say within ${ms} ms what ${tag} names`))
    const timers = [
      setTimeout(() => giveUp(maxAskingMs), maxAskingMs),
      setTimeout(() => {
        void this.#hasLastKnown(target, tag).then((isKnown) => isKnown && giveUp(maxAskingIfKnownMs))
      }, maxAskingIfKnownMs),
    ]
    const whileAsked = AbortSignal.any([signal, late.signal])
    const patience = new Patience()
    try {
      for (let tries = 1; ; tries++) {
        try {
          return await upstream.resolveTag(target, tag, whileAsked, patience)
        } catch (error) {
          whileAsked.throwIfAborted()
          const isTooLong = error instanceof OciError && (error.retryAfterMs ?? 0) > patience.leftMs
          if (!isOutage(error) || isTooLong || tries >= upstream.retries) throw error
          logger.warn({ err: error, tag, repository }, 'a tag could not be resolved; trying again')
        }
        await backOff(tries, whileAsked)
      }
    } finally {
      for (const timer of timers) clearTimeout(timer)
    }
  }

  async #hasLastKnown(target: Target, tag: string): Promise<boolean> {
    return (await this.#lastKnown.newest(nameOf(target, tag), target.upstream.tags.maxStaleMs)) !== undefined
  }
}

/** Upstream has not answered in time. */
class SilenceError extends OciError {
  constructor(message: string) {
    super('UNKNOWN', message)
  }
}

/** Whether upstream has not said anything about the thing itself: it is away, broken, or wants no requests now. */
function isOutage(error: unknown): error is OciError {
  return error instanceof OciError && !error.permanent
}

function retainMsOf({ policy, ttlMs }: TagPolicy): number {
  if (policy === 'always') return 0
  return policy === 'pin' ? PIN_MS : ttlMs
}

function scopeOf({ upstream, repository }: Target): string {
  return `${upstream.name}/${repository}`
}

function nameOf(target: Target, tag: string): string {
  const name = `${scopeOf(target)}:${tag}`
  return name.length <= MAX_NAME_LENGTH ? name : `sha256-${createHash('sha256').update(name).digest('hex')}`
}
