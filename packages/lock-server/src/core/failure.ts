import type { WorkError } from '@layerlock/protocol'
import type { Draft } from './draft.ts'
import type { GroupFailures, Hold, KeyRecord, Refusal } from './record.ts'

export interface Failure {
  readonly error: WorkError
  readonly permanent: boolean
  readonly retryAfterMs?: number | undefined
  /**
   * Whether the work itself failed. The end of a session says nothing about the work, so it raises the attempt count
   * but does not help to condemn the key: three nodes that are scaled down must not make the others give up.
   */
  readonly reported: boolean
}

/** Takes note of a failed hold: the row of failures, the pause, and the refusal when it was one too many (rule 4). */
export function noteFailure(draft: Draft, hold: Hold, failure: Failure): void {
  const { record, context } = draft
  const { nowMs, settings } = context
  const count = (record.streak?.count ?? 0) + 1
  const pauseMs = Math.min(failure.retryAfterMs ?? 0, settings.maxRetryAfterMs)
  const before = record.streak?.failures ?? []
  const failures = failure.reported ? countFailure(before, hold.group, settings.maxGroups) : before
  const ofGroup = failures.find(({ group }) => group === hold.group)?.count ?? 0
  // A refusal tells its own group when to come back, and is no reason for others to wait.
  if (pauseMs > 0 && !failure.permanent) record.pausedUntilMs = Math.max(record.pausedUntilMs ?? 0, nowMs + pauseMs)

  if (failure.permanent || ofGroup >= settings.maxFailures) {
    const endsMs = nowMs + Math.max(settings.negativeMs, pauseMs)
    refuse(draft, { error: failure.error, attempts: count, group: hold.group, endsMs })
    // The row is told and done with: after the refusal the next one starts afresh.
    record.streak = undefined
  } else {
    record.streak = { count, error: failure.error, failures, endsMs: nowMs + pauseMs + settings.negativeMs }
  }
}

/** Groups are named by clients, so a record knows only those that failed last. */
function countFailure(
  before: readonly GroupFailures[],
  group: string | undefined,
  most: number,
): readonly GroupFailures[] {
  const count = (before.find((entry) => entry.group === group)?.count ?? 0) + 1
  return [...before.filter((entry) => entry.group !== group), { group, count }].slice(-most)
}

/**
 * When the row of failures is over by time; undefined when there is none, or while one of those who were told of it
 * still works: however long that takes, its failure is the next of the same row.
 */
export function streakEndMs({ streak, holds }: KeyRecord): number | undefined {
  return holds.some((hold) => hold.attempt > 1) ? undefined : streak?.endsMs
}

/** Not at its very end: with a `negativeMs` of 0 the next in line is still told of the failure before it. */
export function dropOldStreak({ record, context }: Draft): void {
  if ((streakEndMs(record) ?? Infinity) < context.nowMs) record.streak = undefined
}

/** The remembered failure that concerns a wish of this group. */
export function refusalFor(draft: Draft, group: string | undefined): Refusal | undefined {
  return draft.record.refusals.find((refusal) => refusal.group === undefined || refusal.group === group)
}

function refuse(draft: Draft, refusal: Refusal): void {
  const { record, context } = draft
  const others = record.refusals.filter((other) => other.group !== refusal.group)
  record.refusals = [...others, refusal].slice(-context.settings.maxGroups)
  const stays = (group: string | undefined) => refusal.group !== undefined && refusal.group !== group
  for (const waiter of record.queue) if (!stays(waiter.group)) draft.wake.add(waiter.ticket)
  record.queue = record.queue.filter((waiter) => stays(waiter.group))
}
