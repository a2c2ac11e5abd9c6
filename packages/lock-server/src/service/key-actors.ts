import { type Key, ProtocolError } from '@layerlock/protocol'
import type { MachineContext } from '../core/context.ts'
import { nextDeadlineMs } from '../core/expire.ts'
import { type Answers, type Command, decide } from '../core/machine.ts'
import { createRecord, involves, type KeyRecord } from '../core/record.ts'
import type { LockStore } from '../store/lock-store.ts'
import type { Clock } from './clock.ts'
import { KeyTimers } from './key-timers.ts'
import type { SessionIndex } from './session-index.ts'

export interface KeyActorsOptions {
  readonly store: LockStore
  readonly clock: Clock
  readonly index: SessionIndex
  /** The greatest fencing token that was ever given out, as far as the store knows. */
  readonly greatestToken: number
  readonly contextOf: (key: Key, tokenFloor: number) => MachineContext
  readonly onDecided: (key: Key, record: KeyRecord | undefined, wake: ReadonlySet<string>) => void
}

interface Pending {
  readonly command: Command
  readonly resolve: (answer: never) => void
  readonly reject: (error: unknown) => void
}

/**
 * Runs the machine on the records of a store: the commands on one key one after another, those that queue up meanwhile
 * together in one swap. So a hot key costs one write for many calls, and only other replicas can make a swap fail.
 */
export class KeyActors implements Disposable {
  readonly #options: KeyActorsOptions
  readonly #timers: KeyTimers
  /** The commands that wait, by key; a key has an entry exactly while its loop runs. */
  readonly #pending = new Map<Key, Pending[]>()
  #greatestToken: number

  constructor(options: KeyActorsOptions) {
    this.#options = options
    this.#greatestToken = options.greatestToken
    this.#timers = new KeyTimers(options.clock, (key) => void this.execute(key, { op: 'tick' }).catch(() => undefined))
  }

  /** Takes up the records of the server's life before: their timers, and who takes part in them. */
  async restore(): Promise<void> {
    const { store, index, contextOf } = this.#options
    let after: string | undefined
    for (;;) {
      const page = await store.list({ prefix: '', after, limit: 1_000 })
      if (page.length === 0) return
      for (const record of page) {
        const involved = new Set([...record.holds, ...record.queue].map((entry) => entry.session).concat(record.copies))
        for (const session of involved) index.add(session, record.key)
        const context = contextOf(record.key, 0)
        const gone = [...involved].filter((session) => context.session(session) === undefined)
        for (const session of gone) {
          const command = { op: 'endSession', session, reason: 'session expired', keepCopies: false } as const
          await this.execute(record.key, command)
        }
        this.#timers.set(record.key, nextDeadlineMs(record))
      }
      after = page.at(-1)!.key
    }
  }

  /** Carries out a command. @throws {ProtocolError} when it is refused, or `overloaded` when the store fails */
  execute<C extends Command>(key: Key, command: C): Promise<Answers[C['op']]> {
    // Before the decision, so that the end of the session that comes after this command finds the key.
    if (actsFor(command) !== undefined) this.#options.index.add(actsFor(command)!, key)
    const { promise, resolve, reject } = Promise.withResolvers<Answers[C['op']]>()
    const waiting = this.#pending.get(key)
    const entry: Pending = { command, resolve, reject }
    if (waiting !== undefined) {
      waiting.push(entry)
    } else {
      const pending = [entry]
      this.#pending.set(key, pending)
      void this.#run(key, pending)
    }
    return promise
  }

  async #run(key: Key, pending: Pending[]): Promise<void> {
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

  async #applyAll(key: Key, batch: readonly Pending[]): Promise<void> {
    const { store, onDecided } = this.#options
    for (;;) {
      const current = await store.read(key)
      const wake = new Set<string>()
      const settle: (() => void)[] = []
      let record = current?.record
      for (const { command, resolve, reject } of batch) {
        try {
          const decision = this.#decide(key, record, command)
          record = decision.record
          for (const ticket of decision.wake) wake.add(ticket)
          settle.push(() => resolve(decision.answer as never))
        } catch (error) {
          settle.push(() => reject(error))
        }
      }
      const unchanged = record === current?.record
      if (!unchanged && !(await store.swap(key, current?.version ?? 0, record))) continue
      this.#keepIndex(key, record, batch)
      this.#timers.set(key, record === undefined ? undefined : nextDeadlineMs(record))
      for (const answer of settle) answer()
      onDecided(key, record, wake)
      return
    }
  }

  #decide(key: Key, record: KeyRecord | undefined, command: Command) {
    const { contextOf, clock } = this.#options
    const floor = Math.max(this.#greatestToken + 1, clock.wallMicros())
    const context = contextOf(key, floor)
    const session = actsFor(command)
    if (session !== undefined && command.op !== 'endSession' && context.session(session) === undefined) {
      throw new ProtocolError('session_expired', 'Layerlock-Session: this session has ended; open a new one')
    }
    const decision = decide(record ?? createRecord(key), command, context)
    this.#greatestToken = Math.max(this.#greatestToken, decision.record?.lastToken ?? 0)
    return decision
  }

  #keepIndex(key: Key, record: KeyRecord | undefined, batch: readonly Pending[]): void {
    const waiting = this.#pending.get(key)?.map(({ command }) => actsFor(command))
    for (const { command } of batch) {
      const session = actsFor(command)
      if (session === undefined || waiting?.includes(session) === true) continue
      if (record === undefined || !involves(record, session)) this.#options.index.remove(session, key)
    }
  }

  [Symbol.dispose](): void {
    this.#timers[Symbol.dispose]()
  }
}

function actsFor(command: Command) {
  return 'session' in command ? command.session : undefined
}
