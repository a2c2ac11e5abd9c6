import { SESSION_TTL_MS } from '@layerlock/protocol'
import { type KeyRecord, type SessionRef, sessionsOf } from '../core/record.ts'
import type { Clock } from '../service/clock.ts'
import type { LockService } from '../service/lock-service.ts'
import type { LockStore } from '../store/lock-store.ts'
import { legacyRecords } from './legacy-keys.ts'

/**
 * How long a node may be silent until it is taken for gone, with its references. No session of version 1 can live that
 * long without a renewal, and so the sessions of old nodes are told from those in the store.
 */
const SILENCE_MS = 365 * 24 * 3_600_000
/** How often sessions are looked through for those that nothing depends on, and how long those were silent. */
const SWEEP_MS = 3_600_000

interface LegacyNode {
  readonly id: string
  readonly ref: SessionRef
  seenMs: number
}

export interface LegacyNodesOptions {
  readonly service: LockService
  readonly store: LockStore
  readonly clock: Clock
}

/** The sessions of old nodes, which send no heartbeats: one for each `node_id`, the same after a restart. */
export class LegacyNodes implements Disposable {
  readonly #options: LegacyNodesOptions
  readonly #byName = new Map<string, LegacyNode>()
  readonly #nameOf = new Map<SessionRef, string>()
  readonly #opening = new Map<string, Promise<SessionRef>>()
  #timer: Disposable | undefined
  #disposed = false

  constructor(options: LegacyNodesOptions) {
    this.#options = options
  }

  /** Finds the sessions of the server's life before. */
  async restore(): Promise<void> {
    const { store, service } = this.#options
    for (const session of await store.sessions()) {
      const isLive = service.sessions.find(session.id) !== undefined
      if (isLive && session.ttlMs > SESSION_TTL_MS.greatest) this.#add(session.node, session)
    }
    this.#schedule()
  }

  /** The session of a node, if it has one; the node has been heard of. */
  find(name: string): SessionRef | undefined {
    const node = this.#byName.get(name)
    if (node === undefined) return undefined
    const { service, clock } = this.#options
    if (service.sessions.find(node.id) === undefined) {
      this.#remove(name, node)
      return undefined
    }
    service.sessions.renew(node.id)
    node.seenMs = clock.nowMs()
    return node.ref
  }

  /** The session of a node, opened at its first call. @throws when the store fails, or there are too many sessions */
  async open(name: string): Promise<SessionRef> {
    const found = this.find(name)
    if (found !== undefined) return found
    const opening = this.#opening.get(name) ?? this.#openNew(name)
    this.#opening.set(name, opening)
    try {
      return await opening
    } finally {
      this.#opening.delete(name)
    }
  }

  /** The `node_id` behind a session; undefined for one of version 1. */
  nameOf(ref: SessionRef): string | undefined {
    return this.#nameOf.get(ref)
  }

  /** Closes the sessions that hold nothing, wait for nothing and reference nothing, and were silent for a while. */
  async sweep(): Promise<void> {
    const { store, service, clock } = this.#options
    const needed = new Set<SessionRef>()
    for await (const record of legacyRecords(store)) noteSessions(record, needed)
    for (const [name, node] of this.#byName) {
      if (needed.has(node.ref) || clock.nowMs() - node.seenMs < SWEEP_MS) continue
      this.#remove(name, node)
      if (service.sessions.find(node.id) !== undefined) await service.closeSession(node.id)
    }
  }

  async #openNew(name: string): Promise<SessionRef> {
    const { session } = await this.#options.service.openSession({ node: name, ttlMs: SILENCE_MS })
    this.#add(name, session)
    return session.ref
  }

  #add(name: string, { id, ref }: { readonly id: string; readonly ref: SessionRef }): void {
    this.#byName.set(name, { id, ref, seenMs: this.#options.clock.nowMs() })
    this.#nameOf.set(ref, name)
  }

  #remove(name: string, { ref }: LegacyNode): void {
    this.#byName.delete(name)
    this.#nameOf.delete(ref)
  }

  #schedule(): void {
    if (this.#disposed) return
    this.#timer = this.#options.clock.schedule(() => {
      // What cannot be closed now is found again the next time.
      void this.sweep()
        .catch(() => undefined)
        .finally(() => this.#schedule())
    }, SWEEP_MS)
  }

  [Symbol.dispose](): void {
    this.#disposed = true
    this.#timer?.[Symbol.dispose]()
  }
}

function noteSessions(record: KeyRecord, into: Set<SessionRef>): void {
  for (const session of sessionsOf(record)) into.add(session)
}
