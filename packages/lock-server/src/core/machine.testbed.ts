import type { AcquireAnswer, Granted, Key, Progress } from '@layerlock/protocol'
import type { AcquireCommand } from './acquire.ts'
import { DEFAULT_MACHINE_SETTINGS, type MachineContext, type MachineSettings, type SessionFacts } from './context.ts'
import { type Answers, type Command, decide } from './machine.ts'
import { createRecord, type KeyRecord, type SessionRef } from './record.ts'
import type { CompleteCommand, FailCommand } from './settle.ts'

export type Wish = Partial<Omit<AcquireCommand, 'op' | 'session' | 'ticket'>>

/**
 * One key, its sessions and a clock that only tests move. Sessions are named by a letter and open themselves; all that
 * the machine gets and gives is frozen, so that a change in place fails the test.
 */
export class Testbed {
  nowMs = 1_000_000
  tokenFloor = 1
  record: KeyRecord = createRecord('some/key' as Key)
  /** Whether sessions that open have an endpoint, and so can be sources. */
  reachable = true
  /** Whom the last command woke. */
  woken: readonly string[] = []
  /** The last token of the record when it was forgotten, which the service remembers for all keys. */
  #forgottenToken = 0
  readonly settings: MachineSettings
  readonly sessions = new Map<string, SessionFacts>()
  readonly progress = new Map<string, Progress>()

  constructor(settings: Partial<MachineSettings> = {}) {
    this.settings = deepFreeze({ ...DEFAULT_MACHINE_SETTINGS, ...settings })
  }

  get context(): MachineContext {
    return deepFreeze({
      nowMs: this.nowMs,
      tokenFloor: Math.max(this.tokenFloor, this.#forgottenToken + 1),
      session: (ref: SessionRef) => this.sessions.get(ref),
      progress: (ticket: string) => this.progress.get(ticket),
      settings: this.settings,
    })
  }

  /** Whether nothing is left to know of the key. */
  get blank(): boolean {
    return decide(this.record, { op: 'tick' }, this.context).record === undefined
  }

  run<C extends Command>(command: C): Answers[C['op']] {
    const decision = decide(deepFreeze(this.record), deepFreeze(command), this.context)
    if (decision.record === undefined) this.#forgottenToken = Math.max(this.#forgottenToken, this.record.lastToken)
    this.record = decision.record ?? createRecord(this.record.key)
    this.woken = [...decision.wake]
    return decision.answer
  }

  /** The ref of a session, which opens with its first use. */
  session(name: string): SessionRef {
    const endpoint = this.reachable ? { endpoint: `http://${name}` } : {}
    if (!this.sessions.has(name)) this.sessions.set(name, { node: `node-${name}`, ...endpoint })
    return name as SessionRef
  }

  command(name: string, ticket: string, wish: Wish = {}): AcquireCommand {
    const defaults = { enqueue: true, ignoreOutcome: false, unlessReferenced: false, limit: 1 }
    return { op: 'acquire', session: this.session(name), ticket, ...defaults, ...wish }
  }

  /** Session `a` asks with ticket `a1`. */
  ask(name: string, wish: Wish = {}, ticket = `${name}1`): AcquireAnswer {
    return this.run(this.command(name, ticket, wish)).answer
  }

  /** Asks, and expects the lease. */
  hold(name: string, wish: Wish = {}, ticket = `${name}1`): Granted {
    const answer = this.ask(name, wish, ticket)
    if (answer.status !== 'granted') throw new Error(`expected ${ticket} to be granted, it is ${answer.status}`)
    return answer
  }

  complete(name: string, { fencingToken }: Granted, options: Partial<CompleteCommand> = {}): void {
    this.run({ op: 'complete', session: this.session(name), fencingToken, copy: false, clear: false, ...options })
  }

  fail(name: string, { fencingToken }: Granted, options: Partial<FailCommand> = {}): void {
    const error = { code: 'broken', message: `${name} has failed` }
    this.run({ op: 'fail', session: this.session(name), fencingToken, error, permanent: false, ...options })
  }

  release(name: string, { fencingToken }: Granted): void {
    this.run({ op: 'release', session: this.session(name), fencingToken })
  }

  cancel(name: string, ticket = `${name}1`): void {
    this.run({ op: 'cancel', session: this.session(name), ticket })
  }

  addCopy(name: string): void {
    this.run({ op: 'addCopy', session: this.session(name) })
  }

  removeCopy(name: string): void {
    this.run({ op: 'removeCopy', session: this.session(name) })
  }

  /** Ends a session: first it is gone, then the key learns of it, as in the service. */
  end(name: string, reason = 'session expired', keepCopies = false): void {
    const session = this.session(name)
    this.sessions.delete(name)
    this.run({ op: 'endSession', session, reason, keepCopies })
  }

  /** Lets time pass, and the key's timer fire. */
  pass(ms: number): void {
    this.nowMs += ms
    this.run({ op: 'tick' })
  }
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  Object.freeze(value)
  for (const part of Object.values(value)) deepFreeze(part)
  return value
}
