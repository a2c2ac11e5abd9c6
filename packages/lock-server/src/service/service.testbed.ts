import { type AcquireAnswer, type Key, type OpenSession, parseKey } from '@layerlock/protocol'
import type { MachineSettings } from '../core/context.ts'
import type { Wish } from '../core/machine.testbed.ts'
import type { KeyRecord, SessionRef } from '../core/record.ts'
import type { StoredSession, Versioned } from '../store/lock-store.ts'
import { MemoryLockStore } from '../store/memory-lock-store.ts'
import { ManualClock } from './manual-clock.ts'
import { LockService } from './lock-service.ts'
import type { ServiceLimits } from './service-limits.ts'

export const KEY = parseKey('some/key')

/** A store whose medium can be made to fail, and which counts its swaps. */
export class FlakyLockStore extends MemoryLockStore {
  failing = false
  swaps = 0

  override read(key: Key): Promise<Versioned | undefined> {
    return this.#unlessFailing() ?? super.read(key)
  }

  override swap(key: Key, expectedVersion: number, record: KeyRecord | undefined): Promise<boolean> {
    this.swaps++
    return this.#unlessFailing() ?? super.swap(key, expectedVersion, record)
  }

  override saveSession(session: StoredSession): Promise<void> {
    return this.#unlessFailing() ?? super.saveSession(session)
  }

  override deleteSession(id: string): Promise<void> {
    return this.#unlessFailing() ?? super.deleteSession(id)
  }

  #unlessFailing(): Promise<never> | undefined {
    return this.failing ? Promise.reject(new Error('the disk is full')) : undefined
  }
}

/** A lock service over a store in memory, with a clock that only the test moves. */
export class ServiceBed {
  readonly clock = new ManualClock()
  readonly store = new FlakyLockStore()
  readonly #settings: Partial<MachineSettings>
  readonly #limits: Partial<ServiceLimits>
  service!: LockService

  private constructor(settings: Partial<MachineSettings>, limits: Partial<ServiceLimits>) {
    this.#settings = settings
    this.#limits = limits
  }

  static async open(settings: Partial<MachineSettings> = {}, limits: Partial<ServiceLimits> = {}): Promise<ServiceBed> {
    const bed = new ServiceBed(settings, limits)
    await bed.start()
    return bed
  }

  /** Starts the service on what the store has. */
  async start(): Promise<void> {
    const { store, clock } = this
    this.service = await LockService.open({ store, clock, settings: this.#settings, limits: this.#limits })
  }

  /** Stops it, as far as it can notice: the store is what is left. */
  async stop(): Promise<void> {
    await this.service[Symbol.asyncDispose]()
  }

  async session(node: string, options: Partial<OpenSession> = {}): Promise<StoredSession> {
    const { session } = await this.service.openSession({ node, ...options })
    return session
  }

  ask(session: { ref: SessionRef }, ticket: string, options: AskOptions = {}): Promise<AcquireAnswer> {
    const { waitMs = 0, signal, key = KEY, ...wish } = options
    const defaults = { enqueue: true, ignoreOutcome: false, unlessReferenced: false, limit: 1 }
    const command = { op: 'acquire', session: session.ref, ticket, ...defaults, ...wish } as const
    return this.service.acquire(key, command, { waitMs, signal })
  }

  /** Asks, and expects the lease. */
  async hold(session: { ref: SessionRef }, ticket: string, options: AskOptions = {}) {
    const answer = await this.ask(session, ticket, options)
    if (answer.status !== 'granted') throw new Error(`expected ${ticket} to be granted, it is ${answer.status}`)
    return answer
  }

  release({ ref }: { ref: SessionRef }, { fencingToken }: { fencingToken: number }): Promise<void> {
    return this.service.execute(KEY, { op: 'release', session: ref, fencingToken })
  }

  complete({ ref }: { ref: SessionRef }, { fencingToken }: { fencingToken: number }, copy = false): Promise<void> {
    return this.service.execute(KEY, { op: 'complete', session: ref, fencingToken, copy, clear: false })
  }

  async record(key = KEY): Promise<KeyRecord | undefined> {
    return (await this.store.read(key))?.record
  }
}

export interface AskOptions extends Wish {
  readonly waitMs?: number
  readonly signal?: AbortSignal
  readonly key?: Key
}
