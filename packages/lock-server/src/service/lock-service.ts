import { setImmediate } from 'node:timers/promises'
import {
  type AcquireAnswer,
  type CopiesUpdated,
  type Key,
  type KeyState,
  type LockRecord,
  type OpenSession,
  ProtocolError,
  type ReportProgress,
} from '@layerlock/protocol'
import type { AcquireCommand } from '../core/acquire.ts'
import { DEFAULT_MACHINE_SETTINGS, type MachineContext, type MachineSettings } from '../core/context.ts'
import { eventsBetween } from '../core/events.ts'
import { type Answers, type Command } from '../core/machine.ts'
import { createRecord, type SessionRef } from '../core/record.ts'
import { stateOf } from '../core/view.ts'
import type { LockStore, StoredSession } from '../store/lock-store.ts'
import { type Clock, systemClock } from './clock.ts'
import { EventLog } from './event-log.ts'
import { KeyActors } from './key-actors.ts'
import { Parking } from './parking.ts'
import { ProgressBoard } from './progress-board.ts'
import { RecordPage, shownOf } from './record-page.ts'
import { DEFAULT_SERVICE_LIMITS, type ServiceLimits } from './service-limits.ts'
import { SessionIndex } from './session-index.ts'
import { SessionRegistry } from './session-registry.ts'
import { Tally, type TallyCounts } from './tally.ts'

export interface LockServiceOptions {
  readonly store: LockStore
  readonly clock?: Clock | undefined
  readonly settings?: Partial<MachineSettings> | undefined
  readonly limits?: Partial<ServiceLimits> | undefined
}

/** How many records are read at a time, without a turn for anybody else. */
const READ_RECORDS = 250
/** How many records a call of `list` looks at. */
const LOOKED_AT_RECORDS = 10_000

/** Which records to list. */
export interface ListRange {
  readonly prefix: string
  readonly state?: KeyState | undefined
  readonly after?: string | undefined
  readonly limit: number
}

/** How long a call may be held back, and when its caller has gone. */
export interface Wait {
  readonly waitMs: number
  readonly signal?: AbortSignal | undefined
}

/** The lock service without its HTTP face: sessions, the records of all keys, and the calls that wait. */
export class LockService implements AsyncDisposable {
  readonly sessions: SessionRegistry
  readonly parking: Parking
  readonly events = new EventLog()
  readonly #store: LockStore
  readonly #clock: Clock
  readonly #settings: MachineSettings
  readonly #limits: ServiceLimits
  readonly #tally = new Tally()
  readonly #progress = new ProgressBoard()
  readonly #index = new SessionIndex()
  readonly #actors: KeyActors

  private constructor({ store, clock = systemClock, settings, limits }: LockServiceOptions, greatestToken: number) {
    this.#store = store
    this.#clock = clock
    this.#settings = { ...DEFAULT_MACHINE_SETTINGS, ...settings }
    this.#limits = { ...DEFAULT_SERVICE_LIMITS, ...limits }
    this.parking = new Parking(clock)
    this.sessions = new SessionRegistry(store, clock, this.#limits.maxSessions)
    this.sessions.onExpired = (session, reason) => void this.#end(session, reason, false)
    this.#actors = new KeyActors({
      store,
      clock,
      index: this.#index,
      greatestToken,
      parking: this.parking,
      tally: this.#tally,
      maxKeys: this.#limits.maxKeys,
      contextOf: (key, tokenFloor) => this.#contextOf(key, tokenFloor),
      onDecided: (key, { before, after }) => {
        for (const event of eventsBetween(before, after, this.#nodeOf)) this.events.append(event)
        this.#progress.prune(key, after)
      },
    })
  }

  /** Takes up a store with all that is in it. */
  static async open(options: LockServiceOptions): Promise<LockService> {
    const service = new LockService(options, await options.store.greatestToken())
    await service.sessions.restore()
    await service.#actors.restore()
    service.sessions.grace()
    return service
  }

  /** How much there is of everything now. */
  get tally(): TallyCounts {
    return this.#tally
  }

  async openSession(request: OpenSession): Promise<{ session: StoredSession; resumed: boolean }> {
    const predecessor = request.resume === undefined ? undefined : this.sessions.find(request.resume)
    const session = await this.sessions.open(request, predecessor)
    // The new id is not known to anybody yet, so all that this ends is the predecessor's.
    if (predecessor !== undefined) await this.#end(predecessor, 'the process was restarted', true)
    return { session, resumed: predecessor !== undefined }
  }

  async closeSession(id: string): Promise<void> {
    const session = this.sessions.get(id)
    // Together: it is gone from here at once, and whether its entry can be deleted or not, what it holds must be freed.
    await Promise.all([this.sessions.remove(session), this.#end(session, 'session closed', false)])
  }

  /** Asks for a key. With `waitMs` a `queued` answer is held back until the status or the source changes. */
  async acquire(key: Key, wish: AcquireCommand, { waitMs, signal }: Wait): Promise<AcquireAnswer> {
    if (waitMs === 0) return (await this.#actors.execute(key, wish)).answer
    const deadlineMs = this.#clock.nowMs() + waitMs
    using spot = this.parking.park(key, wish)
    for (;;) {
      const { answer, sourceChanged } = await this.#actors.execute(key, wish)
      if (answer.status === 'granted' && signal?.aborted === true) {
        const { session } = wish
        await this.#actors.executeSurely(key, { op: 'offerAgain', session, fencingToken: answer.fencingToken })
        return answer
      }
      const leftMs = deadlineMs - this.#clock.nowMs()
      if (answer.status !== 'queued' || sourceChanged || leftMs <= 0) return answer
      const told = await spot.woken(leftMs, signal)
      if (told !== undefined) return told.answer
      // Nobody reads the answer any more, and asking again would take up an offer for nobody.
      if (signal?.aborted === true) return answer
      if (this.parking.isDraining) return answer
    }
  }

  /** Carries out any other command on a key. */
  async execute<C extends Command>(key: Key, command: C): Promise<Answers[C['op']]> {
    if (command.op === 'complete' && command.value !== undefined) this.#checkValue(command.value)
    return this.#actors.execute(key, command)
  }

  /** Shows a record; with `waitMs` it is held back while the key is held or queued. */
  async show(key: Key, { waitMs, signal }: Wait): Promise<LockRecord> {
    const deadlineMs = this.#clock.nowMs() + waitMs
    using spot = this.parking.watch(key)
    for (;;) {
      const record = (await this.#store.read(key))?.record ?? createRecord(key)
      const view = shownOf(record, this.#contextOf(key, 0))
      const leftMs = deadlineMs - this.#clock.nowMs()
      if ((view.state !== 'held' && view.state !== 'queued') || leftMs <= 0 || signal?.aborted === true) return view
      if (this.parking.isDraining) return view
      await spot.woken(leftMs, signal)
    }
  }

  /**
   * A page of records, in the order of their keys; `last` is where the next page goes on. It may have fewer than `limit`,
   * or none, and still a next one: a page looks at so many records only, and has so many bytes.
   */
  async list({ prefix, state, after, limit }: ListRange): Promise<{ locks: LockRecord[]; last: string | undefined }> {
    const page = new RecordPage(limit)
    // Whoever takes all of them needs no more than so many.
    const count = state === undefined ? Math.min(limit, READ_RECORDS) : READ_RECORDS
    let last = after
    for (let looked = 0; looked < LOOKED_AT_RECORDS; looked += count) {
      const records = await this.#store.list({ prefix, after: last, limit: count })
      for (const record of records) {
        const context = this.#contextOf(record.key, 0)
        const isWanted = state === undefined || stateOf(record, context.nowMs) === state
        if (isWanted && !page.add(shownOf(record, context))) return { locks: page.locks, last }
        last = record.key
        if (page.isFull) return { locks: page.locks, last }
      }
      if (records.length < count) return { locks: page.locks, last: undefined }
      // Others have their turn.
      await setImmediate()
    }
    return { locks: page.locks, last }
  }

  /** Takes note of how far a holder (by its token) or a waiter (by its ticket) is. */
  async reportProgress(key: Key, session: SessionRef, report: ReportProgress): Promise<void> {
    const { fencingToken, ticket, done, total } = report
    if (fencingToken === undefined && ticket === undefined) {
      throw new ProtocolError('invalid_request', 'fencingToken: is needed, or else ticket, to say whose progress it is')
    }
    const record = (await this.#store.read(key))?.record
    const entry =
      record?.holds.find(
        (hold) => hold.session === session && (hold.token === fencingToken || hold.ticket === ticket),
      ) ?? record?.queue.find((waiter) => waiter.session === session && waiter.ticket === ticket)
    if (entry === undefined) {
      const what = fencingToken === undefined ? `ticket: ${ticket}` : `fencingToken: ${fencingToken}`
      throw new ProtocolError('lease_lost', `${what} neither holds nor waits for the key`)
    }
    this.#progress.set(key, entry.ticket, { done, ...(total === undefined ? {} : { total }) })
  }

  /** Takes note of what a session has, and has no longer. */
  async updateCopies(session: SessionRef, add: readonly Key[], remove: readonly Key[]): Promise<CopiesUpdated> {
    await Promise.all([
      ...add.map((key) => this.#actors.execute(key, { op: 'addCopy', session })),
      ...remove.map((key) => this.#actors.execute(key, { op: 'removeCopy', session })),
    ])
    return { added: add.length, removed: remove.length }
  }

  /**
   * From here on no session ends by itself: that its connection closes, or is silent, is the server's doing. Calls that
   * are held back are answered with what there is.
   */
  drain(): void {
    this.sessions[Symbol.dispose]()
    this.parking.drain()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.sessions[Symbol.dispose]()
    this.#actors[Symbol.dispose]()
    await this.#store[Symbol.asyncDispose]()
  }

  async #end({ ref }: StoredSession, reason: string, keepCopies: boolean): Promise<void> {
    const command = { op: 'endSession', session: ref, reason, keepCopies } as const
    await Promise.all(this.#index.keysOf(ref).map((key) => this.#actors.executeSurely(key, command)))
  }

  #checkValue(value: unknown): void {
    const { maxValueBytes } = this.#limits
    const bytes = Buffer.byteLength(JSON.stringify(value))
    if (bytes <= maxValueBytes) return
    throw new ProtocolError('too_large', `value: has ${bytes} bytes as JSON, at most ${maxValueBytes} are allowed`)
  }

  readonly #nodeOf = (ref: SessionRef) => this.sessions.facts(ref)?.node

  #contextOf(key: Key, tokenFloor: number): MachineContext {
    return {
      nowMs: this.#clock.nowMs(),
      tokenFloor,
      session: (ref) => this.sessions.facts(ref),
      progress: (ticket) => this.#progress.get(key, ticket),
      settings: this.#settings,
    }
  }
}
