import { LRUCache } from 'lru-cache'
import type { FastifyBaseLogger } from 'fastify'
import type { Coordinator } from '../coordination/coordinator.ts'
import type { TagTarget } from '../upstream/registry-client.ts'
import { type LastKnown, readTarget, type TagLedger } from './tag-ledger.ts'

/** What a tag names, as somebody was told. */
export interface ResolvedTag extends TagTarget {
  /** When upstream said so, as `Date.now()`. */
  readonly resolvedAtMs: number
  /** Whether it was this node that was told. */
  readonly isOwn: boolean
  /** Whether the cluster has pinned it: then it counts, however old it is. */
  readonly isPinned?: boolean | undefined
}

export interface LastKnownOptions {
  readonly coordinator: Pick<Coordinator, 'publish' | 'lookUp'>
  readonly ledger: TagLedger
  readonly logger: FastifyBaseLogger
}

const MAX_REMEMBERED = 10_000

interface Recorded {
  readonly digest: string
  readonly resolvedAtMs: number
}

/** What tags named when upstream said so last: on this node's disk, and at the lock server for nodes that never asked. */
export class LastKnownTags {
  readonly #options: LastKnownOptions
  /** What the ledger has. */
  readonly #recorded = new LRUCache<string, Recorded>({ max: MAX_REMEMBERED })

  constructor(options: LastKnownOptions) {
    this.#options = options
  }

  /**
   * Keeps what was served. An older word never replaces a newer one. Never rejects.
   *
   * @param forMs how long it may be of use
   */
  async keep(name: string, resolved: ResolvedTag, forMs: number): Promise<void> {
    const { digest, resolvedAtMs, isOwn, isPinned = false } = resolved
    const recorded = await this.#recordOf(name)
    const newerByMs = resolvedAtMs - (recorded?.resolvedAtMs ?? -Infinity)
    if (isPinned ? recorded?.digest === digest : newerByMs <= 0) return
    // What others were told is written down often enough never to get too old while the tag is used.
    if (recorded?.digest === digest && !isOwn && newerByMs < forMs / 4) return
    this.#recorded.set(name, { digest, resolvedAtMs })
    await Promise.all([this.#record(name, resolved), isOwn ? this.#publish(name, resolved, forMs) : undefined])
  }

  /** What the ledger has; read once, for what was kept before this process began. */
  async #recordOf(name: string): Promise<Recorded | undefined> {
    const known = this.#recorded.get(name)
    if (known !== undefined) return known
    const kept = await this.#options.ledger.lookUp(name)
    if (kept === undefined) return undefined
    const recorded = { digest: kept.target.digest, resolvedAtMs: Date.now() - kept.ageMs }
    this.#recorded.set(name, recorded)
    return recorded
  }

  /** What this node has kept, however old. */
  async own(name: string): Promise<TagTarget | undefined> {
    return (await this.#options.ledger.lookUp(name))?.target
  }

  /** The newest that is known on this node or in the cluster. Never rejects. */
  async newest(name: string, maxAgeMs: number): Promise<LastKnown | undefined> {
    const { ledger, coordinator } = this.#options
    const [own, shared] = await Promise.all([ledger.lookUp(name), coordinator.lookUp(keyOf(name))])
    const others = readTarget(shared?.value)
    const candidates = others === undefined ? [own] : [own, { target: others, ageMs: ageOf(shared!) }]
    return candidates
      .filter((each) => each !== undefined)
      .filter(({ ageMs }) => ageMs <= maxAgeMs)
      .toSorted((a, b) => a.ageMs - b.ageMs)[0]
  }

  async #record(name: string, { digest, size, mediaType, resolvedAtMs }: ResolvedTag): Promise<void> {
    const { ledger, logger } = this.#options
    try {
      await ledger.record(name, { digest, size, mediaType }, resolvedAtMs)
    } catch (error) {
      // Not tried again before there is something new: a full disk would be told of with each answer.
      logger.warn({ err: error, name }, 'what a tag names could not be kept for later')
    }
  }

  async #publish(name: string, { digest, size, mediaType, resolvedAtMs }: ResolvedTag, forMs: number): Promise<void> {
    // Nodes' clocks may differ, so it is the age that is told.
    const ageMs = Math.max(0, Date.now() - resolvedAtMs)
    const retainMs = forMs - ageMs
    if (retainMs <= 0) return
    const value = { digest, size, mediaType, ageMs }
    await this.#options.coordinator.publish(keyOf(name), value, retainMs, (known) => ageOf(known) < ageMs)
  }
}

function keyOf(name: string): string {
  return `tag-known/${name}`
}

/** How old it was when it was published, and has become since. It came over the wire. */
function ageOf({ value, ageMs }: { readonly value: unknown; readonly ageMs: number }): number {
  const { ageMs: before } = (value ?? {}) as { ageMs?: unknown }
  return ageMs + (typeof before === 'number' && before > 0 ? before : 0)
}
