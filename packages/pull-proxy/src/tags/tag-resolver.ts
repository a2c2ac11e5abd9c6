import { createHash } from 'node:crypto'
import type { FastifyBaseLogger } from 'fastify'
import { LRUCache } from 'lru-cache'
import type { Coordinator } from '../coordination/coordinator.ts'
import { OciError } from '../oci/oci-error.ts'
import { pause } from '../pause.ts'
import type { TagTarget } from '../upstream/registry-client.ts'
import type { TagPolicy } from '../upstream/upstream-options.ts'
import type { Target } from '../upstream/upstreams.ts'
import { type LastKnown, readTarget, type TagLedger } from './tag-ledger.ts'

export interface TagResolverOptions {
  readonly coordinator: Coordinator
  readonly ledger: TagLedger
  readonly logger: FastifyBaseLogger
  /** Ends all look-ups when the proxy stops: they belong to the cluster, not to the client that asked. */
  readonly signal: AbortSignal
  /** How long upstream may take to say what a tag names, in milliseconds. Default 8,000. */
  readonly maxAskingMs?: number | undefined
}

interface Remembered {
  readonly target: TagTarget
  readonly untilMs: number
}

/** How long a pinned tag is kept by the lock server, in milliseconds: as long as it keeps anything. */
const PIN_MS = 365 * 24 * 3_600_000
/**
 * How long upstream may take to say what a tag names, all tries together, in milliseconds: clients wait, and there may be
 * a last known answer for them. Less than other nodes wait for this one.
 */
const MAX_ASKING_MS = 8_000
const FIRST_PAUSE_MS = 200
const MAX_REMEMBERED = 10_000
/** Keys of the lock server have 512 bytes at most; the names of repositories and tags could be longer together. */
const MAX_NAME_LENGTH = 400

/** Finds out what tags name: one `HEAD` upstream for the whole cluster, whose answer then serves for a while. */
export class TagResolver {
  readonly #options: TagResolverOptions
  /** What the cluster knows, as long as it would say the same again. */
  readonly #fresh = new LRUCache<string, Remembered>({ max: MAX_REMEMBERED })
  /** What this node has told the cluster. */
  readonly #published = new LRUCache<string, { readonly digest: string; readonly atMs: number }>({
    max: MAX_REMEMBERED,
  })

  constructor(options: TagResolverOptions) {
    this.#options = options
  }

  /**
   * Says what a tag names, as the upstream's policy wants it known.
   *
   * @param proof what upstream has just said of the tag, if it was asked already
   * @throws {OciError} as upstream refuses; the signal's reason when the client has gone
   */
  async resolve(target: Target, tag: string, proof: TagTarget | undefined, signal: AbortSignal): Promise<TagTarget> {
    const { upstream, visitor } = target
    const name = nameOf(target, tag)
    const known = this.#fresh.get(name)
    if (known !== undefined && performance.now() < known.untilMs) return known.target
    const retainMs = retainMsOf(upstream.tags)
    const group = visitor === undefined ? scopeOf(target) : `${scopeOf(target)}@${visitor.id}`
    const work = async () => proof ?? (await this.#ask(target, tag))
    const options = { retainMs, group, signal: AbortSignal.any([this.#options.signal, signal]) }
    const { value, ageMs } = await this.#options.coordinator.share<TagTarget>(`tag/${name}`, work, options)
    // It came over the wire, from whoever may write to the lock server.
    const resolved = readTarget(value) ?? (await work())
    const forMs = Math.min(retainMs - ageMs, upstream.tags.ttlMs)
    if (forMs > 0) this.#fresh.set(name, { target: resolved, untilMs: performance.now() + forMs })
    return resolved
  }

  /** A tag was answered with this: should upstream fail later, it may be again. Never rejects. */
  async served(target: Target, tag: string, resolved: TagTarget): Promise<void> {
    const name = nameOf(target, tag)
    const { maxStaleMs } = target.upstream.tags
    const told = this.#published.get(name)
    // Often enough that it never gets too old while the tag is used.
    if (told?.digest === resolved.digest && performance.now() - told.atMs < maxStaleMs / 4) return
    if (maxStaleMs === 0) return
    this.#published.set(name, { digest: resolved.digest, atMs: performance.now() })
    const { ledger, coordinator, logger } = this.#options
    await Promise.all([
      ledger.record(name, resolved).catch((error: unknown) => {
        logger.warn({ err: error, name }, 'what a tag names could not be kept for later')
      }),
      coordinator.publish(`tag-known/${name}`, resolved, maxStaleMs),
    ])
  }

  /** What a tag named last, where upstream's failure is one that allows to go by that. Never rejects. */
  async lastKnown(target: Target, tag: string, failure: unknown): Promise<LastKnown | undefined> {
    if (!isOutage(failure)) return undefined
    const name = nameOf(target, tag)
    const { maxStaleMs } = target.upstream.tags
    const { ledger, coordinator } = this.#options
    const [own, shared] = await Promise.all([ledger.lookUp(name), coordinator.lookUp(`tag-known/${name}`)])
    const others = readTarget(shared?.value)
    const candidates = others === undefined ? [own] : [own, { target: others, ageMs: shared!.ageMs }]
    return candidates
      .filter((each) => each !== undefined)
      .filter(({ ageMs }) => ageMs <= maxStaleMs)
      .toSorted((a, b) => a.ageMs - b.ageMs)[0]
  }

  /** Asks upstream, a few times if it fails. */
  async #ask(target: Target, tag: string): Promise<TagTarget> {
    const { signal, logger, maxAskingMs = MAX_ASKING_MS } = this.#options
    const { upstream, repository } = target
    const late = AbortSignal.timeout(maxAskingMs)
    const whileAsked = AbortSignal.any([signal, late])
    for (let tries = 1; ; tries++) {
      try {
        return await upstream.resolveTag(target, tag, whileAsked)
      } catch (error) {
        signal.throwIfAborted()
        if (late.aborted) throw lateError(upstream.name, tag, maxAskingMs)
        if (!isOutage(error) || tries >= upstream.retries) throw error
        logger.warn({ err: error, tag, repository }, 'a tag could not be resolved; trying again')
      }
      const pauseMs = Math.random() * FIRST_PAUSE_MS * 2 ** tries
      await pause(pauseMs, whileAsked).catch(() => {
        signal.throwIfAborted()
        throw lateError(upstream.name, tag, maxAskingMs)
      })
    }
  }
}

function lateError(upstream: string, tag: string, maxAskingMs: number): OciError {
  return new OciError('UNKNOWN', `${upstream} did not say within ${maxAskingMs} ms what ${tag} names`)
}

/** Whether upstream has not said anything about the thing itself: it is away, broken, or wants no requests now. */
function isOutage(error: unknown): boolean {
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
