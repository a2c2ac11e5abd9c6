import type { AcquireResult } from '../core/acquire.ts'
import type { Command, Decision } from '../core/machine.ts'
import type { KeyRecord, SessionRef } from '../core/record.ts'
import type { ParkedAsk } from './parking.ts'

/** A command that waits for its turn, and who is told of its answer. */
export interface PendingCommand {
  readonly command: Command
  readonly resolve: (answer: never) => void
  readonly reject: (error: unknown) => void
}

/** A lease that was given to a call whose caller had gone meanwhile. */
interface Unclaimed {
  readonly session: SessionRef
  readonly fencingToken: number
}

/** What one round comes to. Nothing of it holds before its record is in the store. */
export interface Round {
  readonly record: KeyRecord | undefined
  /** Tells everybody their answers; gives back the leases that nobody was there to take. */
  readonly settle: () => readonly Unclaimed[]
  /** The tickets whose answer has changed. */
  readonly wake: ReadonlySet<string>
}

interface RoundOptions {
  readonly decide: (record: KeyRecord | undefined, command: Command) => Decision
  readonly waiting: (ticket: string) => Iterable<ParkedAsk>
}

/**
 * Decides a batch of commands on one key, one after another, and then what the calls are told that are parked for the
 * tickets thereby woken: so a lease that is released is in the next one's hands with the same write.
 */
export function decideRound(
  before: KeyRecord | undefined,
  batch: readonly PendingCommand[],
  { decide, waiting }: RoundOptions,
): Round {
  let record = before
  const wake = new Set<string>()
  /** The tickets to look at, which may be woken once more while others are looked at. */
  const woken: string[] = []
  const told: (() => Unclaimed | undefined | void)[] = []
  const answered = new Set<ParkedAsk>()
  const carryOut = (command: Command) => {
    const decision = decide(record, command)
    record = decision.record
    for (const ticket of decision.wake) {
      wake.add(ticket)
      woken.push(ticket)
    }
    return decision.answer
  }
  for (const { command, resolve, reject } of batch) {
    try {
      const answer = carryOut(command)
      told.push(() => resolve(answer as never))
    } catch (error) {
      told.push(() => reject(error))
    }
  }
  for (let ticket = woken.shift(); ticket !== undefined; ticket = woken.shift()) {
    for (const ask of waiting(ticket)) {
      if (answered.has(ask)) continue
      try {
        const result = carryOut(ask.command) as AcquireResult
        if (result.answer.status === 'queued' && !result.sourceChanged) continue
        answered.add(ask)
        told.push(() => give(ask, result))
      } catch (error) {
        answered.add(ask)
        told.push(() => ask.refuse(error))
      }
    }
  }
  const settle = () => told.map((tell) => tell()).filter((unclaimed) => unclaimed !== undefined)
  return { record, settle, wake }
}

function give(ask: ParkedAsk, result: AcquireResult): Unclaimed | undefined {
  const isTaken = ask.answer(result)
  if (isTaken || result.answer.status !== 'granted' || !ask.isGone) return undefined
  return { session: ask.command.session, fencingToken: result.answer.fencingToken }
}
