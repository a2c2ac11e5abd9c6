import { type Key, ProtocolError } from '@layerlock/protocol'
import type { MachineContext } from '../core/context.ts'
import { nextDeadlineMs } from '../core/expire.ts'
import { type Answers, type Command, decide } from '../core/machine.ts'
import { createRecord, type KeyRecord, type SessionRef, sessionsOf } from '../core/record.ts'
import type { LockStore } from '../store/lock-store.ts'
import type { Clock } from './clock.ts'
import { KeyTimers } from './key-timers.ts'
import type { Parking } from './parking.ts'
import { decideRound, type PendingCommand } from './round.ts'
import type { SessionIndex } from './session-index.ts'
import type { Tally } from './tally.ts'

export interface KeyActorsOptions {
  readonly store: LockStore
  readonly clock: Clock
  readonly index: SessionIndex
  /** The greatest fencing token that was ever given out, as far as the store knows. */
  readonly greatestToken: number
  readonly parking: Parking
  readonly tally: Tally
  readonly maxKeys: number
  readonly contextOf: (key: Key, tokenFloor: number) => MachineContext
  readonly onDecided: (key: Key, change: RecordChange) => void
}

/** A record before and after a swap; undefined where there is none. */
interface RecordChange {
  readonly before: KeyRecord | undefined
  readonly after: KeyRecord | undefined
}

/** When a change that nobody will ask for again is tried again after the store failed. */
const STORE_RETRY_MS = 1_000

/**
 * Runs the machine on the records of a store: the commands on one key one after another, those that queue up meanwhile
 * together in one swap. So a hot key costs one write for many calls, and only other replicas can make a swap fail.
 */
export class KeyActors implements Disposable {
  readonly #options: KeyActorsOptions
  readonly #timers: KeyTimers
  /** The commands that wait, by key; a key has an entry exactly while its loop runs. */
  readonly #pending = new Map<Key, PendingCommand[]>()
  #greatestToken: number
  #disposed = false

  constructor(options: KeyActorsOptions) {
    this.#options = options
    this.#greatestToken = options.greatestToken
    this.#timers = new KeyTimers(options.clock, (key) => void this.#tick(key))
  }

  /** Takes up the records of the server's life before: their timers, and who takes part in them. */
  async restore(): Promise<void> {
    const { store, index, tally, contextOf } = this.#options
    let after: string | undefined
    for (;;) {
      const page = await store.list({ prefix: '', after, limit: 1_000 })
      if (page.length === 0) return
      const changes: Promise<unknown>[] = []
      for (const record of page) {
        tally.change(undefined, record)
        const involved = sessionsOf(record)
        for (const session of involved) index.add(session, record.key)
        // Before the commands, which set it anew where they change something.
        this.#timers.set(record.key, nextDeadlineMs(record))
        // First of all: any other command would find that the offers have lapsed.
        if (record.holds.some((hold) => hold.offerEndsMs !== undefined)) {
          changes.push(this.execute(record.key, { op: 'restart' }))
        }
        const context = contextOf(record.key, 0)
        const gone = [...involved].filter((session) => context.session(session) === undefined)
        for (const session of gone) {
          const command = { op: 'endSession', session, reason: 'session expired', keepCopies: false } as const
          changes.push(this.execute(record.key, command))
        }
      }
      // Together, so that they share their writes.
      await Promise.all(changes)
      after = page.at(-1)!.key
    }
  }

  /** Carries out what must not be lost, and which nobody would repeat: as often as it takes until the store has it. */
  async executeSurely(key: Key, command: Command): Promise<void> {
    const { clock } = this.#options
    for (;;) {
      try {
        await this.execute(key, command)
        return
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error
        if (this.#disposed) return
        const { promise, resolve } = Promise.withResolvers<void>()
        clock.schedule(resolve, STORE_RETRY_MS)
        await promise
      }
    }
  }

  /** Carries out a command. @throws {ProtocolError} when it is refused, or `overloaded` when the store fails */
  execute<C extends Command>(key: Key, command: C): Promise<Answers[C['op']]> {
    // Before the decision, so that the end of the session that comes after this command finds the key.
    if (actsFor(command) !== undefined) this.#options.index.add(actsFor(command)!, key)
    const { promise, resolve, reject } = Promise.withResolvers<Answers[C['op']]>()
    const waiting = this.#pending.get(key)
    const entry: PendingCommand = { command, resolve, reject }
    if (waiting !== undefined) {
      waiting.push(entry)
    } else {
      const pending = [entry]
      this.#pending.set(key, pending)
      void this.#run(key, pending)
    }
    return promise
  }

  async #run(key: Key, pending: PendingCommand[]): Promise<void> {
    while (pending.length > 0) {
      const batch = pending.splice(0)
      try {
        await this.#applyAll(key, batch)
      } catch (error) {
        const refusal = new ProtocolError('overloaded', 'the store of the lock server fails', { cause: error })
        for (const { reject } of batch) reject(refusal)
      }
    }
    this.#pending.delete(key)
  }

  async #applyAll(key: Key, batch: readonly PendingCommand[]): Promise<void> {
    const { store, tally, parking, onDecided } = this.#options
    for (;;) {
      const current = await store.read(key)
      const before = current?.record
      const round = decideRound(before, batch, {
        decide: (record, command) => this.#decide(key, record, command),
        waiting: (ticket) => parking.waiting(key, ticket),
      })
      const after = round.record
      if (after !== before && !(await store.swap(key, current?.version ?? 0, after))) continue
      this.#keepIndex(key, { before, after, batch })
      this.#timers.set(key, after === undefined ? undefined : nextDeadlineMs(after))
      tally.change(before, after)
      for (const unclaimed of round.settle()) void this.executeSurely(key, { op: 'offerAgain', ...unclaimed })
      onDecided(key, { before, after })
      parking.wake(key, round.wake)
      return
    }
  }

  #decide(key: Key, record: KeyRecord | undefined, command: Command) {
    const { contextOf, clock, tally, maxKeys } = this.#options
    const floor = Math.max(this.#greatestToken + 1, clock.wallMicros())
    const context = contextOf(key, floor)
    const session = actsFor(command)
    if (session !== undefined && command.op !== 'endSession' && context.session(session) === undefined) {
      throw new ProtocolError('session_expired', 'Layerlock-Session: this session has ended; open a new one')
    }
    const decision = decide(record ?? createRecord(key), command, context)
    if (record === undefined && decision.record !== undefined && tally.keys >= maxKeys) {
      throw new ProtocolError('overloaded', `key: ${tally.keys} keys are known already, no more are allowed`)
    }
    this.#greatestToken = Math.max(this.#greatestToken, decision.record?.lastToken ?? 0)
    return decision
  }

  /** Takes those out of the index who are no longer part of the key, nor have a command on its way. */
  #keepIndex(key: Key, { before, after, batch }: Change): void {
    const left = new Set(batch.map(({ command }) => actsFor(command)))
    if (before !== undefined && !hasSameSessions(before, after)) for (const ref of sessionsOf(before)) left.add(ref)
    left.delete(undefined)
    if (left.size === 0) return
    const stays = after === undefined ? new Set<SessionRef>() : sessionsOf(after)
    for (const { command } of this.#pending.get(key) ?? []) left.delete(actsFor(command))
    for (const ref of left) if (ref !== undefined && !stays.has(ref)) this.#options.index.remove(ref, key)
  }

  async #tick(key: Key): Promise<void> {
    try {
      await this.execute(key, { op: 'tick' })
    } catch {
      if (!this.#disposed) this.#timers.set(key, this.#options.clock.nowMs() + STORE_RETRY_MS)
    }
  }

  [Symbol.dispose](): void {
    this.#disposed = true
    this.#timers[Symbol.dispose]()
  }
}

interface Change extends RecordChange {
  readonly batch: readonly PendingCommand[]
}

/** Whether the two surely have the same sessions; cheap, for most commands change nothing of them. */
function hasSameSessions(before: KeyRecord, after: KeyRecord | undefined): boolean {
  return before.holds === after?.holds && before.queue === after.queue && before.copies === after.copies
}

function actsFor(command: Command) {
  return 'session' in command ? command.session : undefined
}
