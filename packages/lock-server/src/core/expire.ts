import { type Draft, rememberEnd } from './draft.ts'
import { dropEnded } from './ended-tickets.ts'
import { streakEndMs } from './failure.ts'
import { advance } from './grant.ts'
import { outcomeEndMs } from './outcome.ts'
import type { KeyRecord, SessionRef } from './record.ts'
import { withdrawCopy } from './copies.ts'
import { expireHold, removeHold } from './settle.ts'

/** Brings the record up to now: everything whose time is over ends. Runs before each command. */
export function expire(draft: Draft): void {
  const { record, context } = draft
  const now = context.nowMs
  if (record.pausedUntilMs !== undefined && record.pausedUntilMs <= now) record.pausedUntilMs = undefined
  if (record.refusals.length > 0 && record.refusals.some((refusal) => refusal.endsMs <= now)) {
    record.refusals = record.refusals.filter((refusal) => refusal.endsMs > now)
  }
  if (record.outcome !== undefined && (outcomeEndMs(record.outcome) ?? Infinity) <= now) {
    record.outcome = undefined
    record.copies = []
  }
  for (const hold of record.holds) {
    if (hold.holdEndsMs !== undefined && hold.holdEndsMs <= now) {
      const error = { code: 'max_hold_exceeded', message: 'held for longer than maxHoldMs' }
      expireHold(draft, hold, { error, permanent: false, reported: true })
    } else if (hold.offerEndsMs !== undefined && hold.offerEndsMs <= now) {
      removeHold(draft, hold, 'expired')
    }
  }
  record.ended = dropEnded(record.ended, now)
  advance(draft)
}

/** Offers run anew after a restart: while the server was away, nobody could take one up (rule 8). */
export function restoreOffers({ record, context }: Draft): void {
  const offerEndsMs = context.nowMs + context.settings.offerMs
  if (record.holds.every((hold) => hold.offerEndsMs === undefined)) return
  record.holds = record.holds.map((hold) => (hold.offerEndsMs === undefined ? hold : { ...hold, offerEndsMs }))
}

/** Makes an offer of a lease again whose holder never learnt of it. */
export function offerAgain(
  draft: Draft,
  { session, fencingToken }: { session: SessionRef; fencingToken: number },
): void {
  const { record, context } = draft
  const index = record.holds.findIndex((hold) => hold.token === fencingToken && hold.session === session)
  const hold = record.holds[index]
  if (hold === undefined) return
  const offerEndsMs = context.nowMs + context.settings.offerMs
  record.holds = record.holds.with(index, { ...hold, offerEndsMs, holdEndsMs: undefined })
}

/** Ends everything of a session: its holds fail over, its tickets leave the queue, its copies are withdrawn (rule 7). */
export function endSession(draft: Draft, session: SessionRef, reason: string, keepCopies: boolean): void {
  const { record } = draft
  for (const hold of record.holds) {
    if (hold.session !== session) continue
    if (hold.offerEndsMs !== undefined) {
      // Nobody has begun to work, so nobody has failed.
      removeHold(draft, hold, 'expired')
    } else {
      const error = { code: 'session_expired', message: reason }
      expireHold(draft, hold, { error, permanent: false, reported: false })
    }
  }
  for (const waiter of record.queue) {
    if (waiter.session !== session) continue
    rememberEnd(draft, { ticket: waiter.ticket, session, how: 'expired' })
    draft.wake.add(waiter.ticket)
  }
  const stay = record.queue.filter((waiter) => waiter.session !== session)
  if (stay.length < record.queue.length) record.queue = stay
  if (!keepCopies) withdrawCopy(draft, session)
  advance(draft)
}

/** When time alone will change the record next, in the clock of its times; undefined when it never will. */
export function nextDeadlineMs(record: KeyRecord): number | undefined {
  // Only the last of those that ended: they are dropped in passing, and a record of nothing else may stay until then.
  let first = Math.min(
    record.pausedUntilMs ?? Infinity,
    streakEndMs(record) ?? Infinity,
    (record.outcome === undefined ? undefined : outcomeEndMs(record.outcome)) ?? Infinity,
    record.ended.at(-1)?.untilMs ?? Infinity,
  )
  for (const { endsMs } of record.refusals) first = Math.min(first, endsMs)
  for (const { offerEndsMs, holdEndsMs } of record.holds) {
    first = Math.min(first, offerEndsMs ?? Infinity, holdEndsMs ?? Infinity)
  }
  return first === Infinity ? undefined : first
}
