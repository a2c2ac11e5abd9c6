import type { AcquireResult } from '../core/acquire.ts'
import type { Command, Decision } from '../core/machine.ts'
import type { KeyRecord } from '../core/record.ts'
import type { ParkedAsk } from './parking.ts'

/** A command that waits for its turn, and who is told of its answer. */
export interface PendingCommand {
  readonly command: Command
  readonly resolve: (answer: never) => void
  readonly reject: (error: unknown) => void
}

/** What one round comes to. Nothing of it holds before its record is in the store. */
export interface Round {
  readonly record: KeyRecord | undefined
  /** Tells everybody their answers. */
  readonly settle: () => void
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
  const told: (() => void)[] = []
  const carryOut = (command: Command) => {
    const decision = decide(record, command)
    record = decision.record
    for (const ticket of decision.wake) wake.add(ticket)
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
  // Grows while it is gone through: an answer given here may wake others in turn.
  for (const ticket of wake) {
    for (const ask of waiting(ticket)) {
      try {
        const result = carryOut(ask.command) as AcquireResult
        if (result.answer.status !== 'queued' || result.sourceChanged) told.push(() => ask.answer(result))
      } catch (error) {
        told.push(() => ask.refuse(error))
      }
    }
  }
  const settle = () => {
    for (const tell of told) tell()
  }
  return { record, settle, wake }
}
