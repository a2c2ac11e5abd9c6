/* eslint-disable vitest/no-standalone-expect, vitest/expect-expect -- Checked holds what the one test expects */
import { ProtocolError } from '@layerlock/protocol'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Command, decide } from './machine.ts'
import { Testbed, type Wish } from './machine.testbed.ts'
import type { KeyRecord, Waiter } from './record.ts'

const SETTINGS = { offerMs: 1_000, negativeMs: 2_000, retainMs: 3_000, audienceMs: 1_500, endedMs: 4_000 }
const NAMES = ['a', 'b', 'c', 'd']
/** The wishes of a session, by the number in its tickets. */
const WISHES: readonly Wish[] = [
  {},
  { ignoreOutcome: true },
  { group: 'g' },
  { ignoreOutcome: true, unlessReferenced: true },
  { maxHoldMs: 700 },
  { enqueue: false },
]

interface Step {
  readonly op: 'acquire' | 'complete' | 'fail' | 'release' | 'cancel' | 'copy' | 'forget' | 'end' | 'pass' | 'wallClock'
  readonly name: string
  readonly wish: number
  readonly pick: number
  readonly flag: boolean
  readonly ms: number
}

const anyStep: fc.Arbitrary<Step> = fc.record({
  op: fc.oneof(
    { weight: 8, arbitrary: fc.constant('acquire' as const) },
    { weight: 6, arbitrary: fc.constantFrom('complete', 'fail', 'release', 'copy', 'pass') },
    { weight: 2, arbitrary: fc.constantFrom('cancel', 'forget', 'end', 'wallClock') },
  ),
  name: fc.constantFrom(...NAMES),
  wish: fc.nat(WISHES.length - 1),
  pick: fc.nat(99),
  flag: fc.boolean(),
  ms: fc.constantFrom(0, 1, 300, 1_000, 2_500, 5_000),
})

/** What the rules say of outcomes, as plainly as they can be said. */
class OutcomeModel {
  #endsMs = -Infinity
  #onCopies = false
  readonly #copies = new Set<string>()

  isLive(nowMs: number): boolean {
    return nowMs < this.#endsMs && (!this.#onCopies || this.#copies.size > 0)
  }

  completed(
    by: string,
    nowMs: number,
    { copy, clear, retainMs }: { copy: boolean; clear: boolean; retainMs?: number },
  ) {
    if (clear) return this.forgotten()
    this.#onCopies = copy
    this.#endsMs = nowMs + (retainMs ?? (copy ? Infinity : SETTINGS.retainMs))
    if (copy) this.#copies.add(by)
  }

  copied(by: string, nowMs: number): void {
    if (!this.isLive(nowMs)) {
      this.#endsMs = Infinity
      this.#onCopies = true
    }
    this.#copies.add(by)
  }

  withdrawn(by: string): void {
    if (this.#copies.delete(by) && this.#copies.size === 0 && this.#onCopies) this.forgotten()
  }

  forgotten(): void {
    this.#endsMs = -Infinity
    this.#copies.clear()
  }
}

/** Runs steps on a key, and checks after each what must hold whatever the steps were. */
class Checked {
  readonly bed = new Testbed(SETTINGS)
  readonly #limit: number
  readonly #outcome = new OutcomeModel()
  readonly #tokens: { readonly token: number; readonly session: string }[] = []
  #greatestToken = 0
  /** Tickets that were woken and have not asked since. */
  readonly #awake = new Set<string>()

  constructor(limit: number) {
    this.#limit = limit
    this.bed.reachable = limit > 1
  }

  take(step: Step): void {
    this.#take(step)
    // Copies end with the outcome that time has ended; how long that is kept for its audience, the model does not say.
    if (this.bed.record.outcome === undefined && !this.#outcome.isLive(this.bed.nowMs)) this.#outcome.forgotten()
  }

  #take({ op, name, wish, pick, flag, ms }: Step): void {
    const { bed } = this
    const lease = this.#pickLease(pick)
    const error = { code: 'broken', message: 'it broke' }
    switch (op) {
      case 'acquire':
        return this.#acquire(name, wish)
      case 'complete': {
        const retainMs = pick % 3 === 0 ? { retainMs: ms } : {}
        const options = { copy: flag, clear: pick % 7 === 0, ...retainMs }
        const command = { op, session: bed.session(lease.session), fencingToken: lease.token, ...options } as const
        if (this.#settle(command)) this.#outcome.completed(lease.session, bed.nowMs, options)
        return
      }
      case 'fail': {
        const session = bed.session(lease.session)
        const retryAfterMs = pick % 3 === 0 ? ms : undefined
        this.#settle({ op, session, fencingToken: lease.token, error, permanent: flag, retryAfterMs })
        return
      }
      case 'release':
        this.#settle({ op, session: bed.session(lease.session), fencingToken: lease.token })
        return
      case 'cancel':
        this.#run({ op, session: bed.session(name), ticket: `${name}${wish}` })
        return
      case 'copy':
        if (flag) this.#outcome.copied(name, bed.nowMs)
        else this.#outcome.withdrawn(name)
        this.#run({ op: flag ? 'addCopy' : 'removeCopy', session: bed.session(name) })
        return
      case 'forget':
        this.#outcome.forgotten()
        this.#run({ op })
        return
      case 'end':
        return this.#end(name)
      case 'pass':
        bed.nowMs += ms
        this.#run({ op: 'tick' })
        return
      case 'wallClock':
        bed.tokenFloor = pick * 1_000
    }
  }

  /** When all sessions have ended and enough time is over, nothing may be left. */
  expectNothingLeft(): void {
    for (const name of NAMES) this.#end(name)
    for (let round = 0; round < 4; round++) this.bed.pass(20_000)
    expect(this.bed.blank).toBe(true)
  }

  #acquire(name: string, wish: number): void {
    const { bed } = this
    const ticket = `${name}${wish}`
    const { record } = bed
    const isIt = (entry: { ticket: string }) => entry.ticket === ticket
    const isNew = ![...record.holds, ...record.queue, ...record.ended].some(isIt)
    const wasTold = record.outcome?.audience.includes(ticket) === true
    const options = { limit: this.#limit, ...WISHES[wish] }
    if (isNew && !wasTold && options.unlessReferenced !== true) this.#outcome.withdrawn(name)
    const isLive = this.#outcome.isLive(bed.nowMs)
    this.#awake.delete(ticket)
    const result = this.#run(bed.command(name, ticket, options))
    const status = typeof result === 'object' && 'answer' in result ? result.answer.status : undefined
    if (!isNew || wasTold || options.ignoreOutcome === true) return
    // Rule 3: an outcome that has not ended is told to everyone, and its work is not done again.
    expect(status === 'done').toBe(isLive)
  }

  /** Whether the hold was ended by this very command; stale tokens must be refused and those that hold must not. */
  #settle(command: Extract<Command, { fencingToken: number }>): boolean {
    const holds = this.bed.record.holds.some((hold) => hold.token === command.fencingToken)
    const result = this.#run(command)
    if (holds) expect(result).toBeUndefined()
    else if (result !== undefined) expect(result).toBe('lease_lost')
    return holds
  }

  #end(name: string): void {
    const session = this.bed.session(name)
    this.#outcome.withdrawn(name)
    const waiting = this.#answers()
    this.bed.sessions.delete(name)
    this.#run({ op: 'endSession', session, reason: 'session expired', keepCopies: false }, waiting)
    const { holds, queue } = this.bed.record
    expect([...holds, ...queue].filter((entry) => entry.session === session)).toEqual([])
  }

  /** Carries a command out, twice, and checks the invariants. Gives back the answer, or the code of the refusal. */
  #run(command: Command, waiting = this.#answers()) {
    const before = this.bed.record
    const answer = this.#attempt(command)
    const after = this.bed.record
    const { woken } = this.bed
    this.#expectBounds(before, after)
    this.#expectWoken(waiting, woken)
    this.#expectRepeatable(command, answer)
    return answer
  }

  #attempt(command: Command) {
    this.bed.woken = []
    try {
      return this.bed.run(command)
    } catch (error) {
      if (error instanceof ProtocolError) return error.code
      throw error
    }
  }

  #expectBounds(before: KeyRecord, after: KeyRecord): void {
    expect(after.holds.length).toBeLessThanOrEqual(this.#limit)
    const known = new Set(before.holds.map((hold) => hold.token))
    for (const hold of after.holds) {
      if (known.has(hold.token)) continue
      expect(hold.token).toBeGreaterThan(this.#greatestToken)
      this.#greatestToken = hold.token
      this.#tokens.push({ token: hold.token, session: hold.session })
      this.#expectNobodyOvertaken(before.queue, after.queue, hold.ticket)
    }
    this.#greatestToken = Math.max(this.#greatestToken, after.lastToken)
  }

  /** Rule 2: whoever waited before the one that is granted now, and still does, had come later or wants something else. */
  #expectNobodyOvertaken(before: readonly Waiter[], after: readonly Waiter[], ticket: string): void {
    const place = before.findIndex((waiter) => waiter.ticket === ticket)
    const ahead = place < 0 ? before : before.slice(0, place)
    expect(ahead.filter((waiter) => after.some((other) => other.ticket === waiter.ticket))).toEqual([])
  }

  /** What each waiting ticket would be told now. */
  #answers(): Map<string, string> {
    const { record, context } = this.bed
    return new Map(
      record.queue.map((waiter) => {
        const wish = { enqueue: true, limit: record.limit, ...waiter }
        try {
          const { answer } = decide(record, { op: 'acquire', ...wish }, context).answer
          return [waiter.ticket, answer.status === 'queued' ? `queued ${answer.source?.node}` : answer.status]
        } catch (error) {
          return [waiter.ticket, String(error)]
        }
      }),
    )
  }

  /** Rule 9 costs a poll interval where it fails: so nobody whose answer has changed may be left asleep. */
  #expectWoken(before: Map<string, string>, woken: readonly string[]): void {
    const after = this.#answers()
    const changed = [...before].filter(([ticket, answer]) => after.get(ticket) !== answer).map(([ticket]) => ticket)
    for (const ticket of woken) this.#awake.add(ticket)
    expect(changed.filter((ticket) => !this.#awake.has(ticket))).toEqual([])
  }

  /** Rule 6: a repeated request gets the same answer and changes nothing. */
  #expectRepeatable(command: Command, answer: unknown): void {
    // What was to last no time at all is over now.
    this.bed.pass(0)
    const { record } = this.bed
    const again = this.#attempt(command)
    if (command.op === 'acquire' && typeof answer === 'object') {
      expect(again).toEqual({ ...answer, sourceChanged: false })
    } else if (command.op !== 'forget') {
      expect(again).toEqual(answer)
    }
    const isBlank = this.bed.blank
    if (!isBlank) expect(this.bed.record).toBe(record)
  }

  #pickLease(pick: number): { readonly token: number; readonly session: string } {
    const held = this.bed.record.holds
    if (pick % 4 > 0 && held.length > 0) return held[pick % held.length]!
    return this.#tokens[pick % Math.max(1, this.#tokens.length)] ?? { token: 1, session: 'a' }
  }
}

test('decide() keeps the rules whatever happens', { timeout: 60_000 }, () => {
  const steps = fc.array(anyStep, { minLength: 1, maxLength: 60, size: 'max' })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 3 }), steps, (limit, taken) => {
      const checked = new Checked(limit)
      for (const one of taken) checked.take(one)
      checked.expectNothingLeft()
    }),
    { numRuns: 500 },
  )
})
