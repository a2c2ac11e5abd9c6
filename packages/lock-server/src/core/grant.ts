import { isReferencedByOthers } from './copies.ts'
import type { Draft } from './draft.ts'
import { dropOldStreak } from './failure.ts'
import type { Hold, Waiter } from './record.ts'

/** Whether the key may be granted now: below its limit, and not paused by a `retryAfterMs`. */
export function hasRoom(draft: Draft): boolean {
  return draft.record.holds.length < draft.record.limit && draft.record.pausedUntilMs === undefined
}

/** Makes a hold with the next fencing token, which is greater than any given out before (rule 6, rule 8). */
export function grant(draft: Draft, wish: Omit<Waiter, 'sinceMs'>, offerEndsMs?: number): Hold {
  const { record, context } = draft
  const token = Math.max(record.lastToken + 1, context.tokenFloor)
  const hold: Hold = {
    ticket: wish.ticket,
    session: wish.session,
    token,
    group: wish.group,
    attempt: (record.streak?.count ?? 0) + 1,
    lastError: record.streak?.error,
    sinceMs: context.nowMs,
    offerEndsMs,
    maxHoldMs: wish.maxHoldMs,
    holdEndsMs: wish.maxHoldMs === undefined || offerEndsMs !== undefined ? undefined : context.nowMs + wish.maxHoldMs,
  }
  record.lastToken = token
  record.holds = [...record.holds, hold]
  return hold
}

/** Gives free places to the head of the queue, and to nobody else (rule 2). Each such grant is an offer (rule 5). */
export function advance(draft: Draft): void {
  const { record, context } = draft
  dropOldStreak(draft)
  let taken = 0
  while (hasRoom(draft) && taken < record.queue.length) {
    const next = record.queue[taken++]!
    draft.wake.add(next.ticket)
    // A waiter whose session has just ended must never be granted; its queue entry is on its way out.
    if (context.session(next.session) === undefined) continue
    if (next.unlessReferenced && isReferencedByOthers(draft, next.session)) continue
    grant(draft, next, context.nowMs + context.settings.offerMs)
  }
  if (taken > 0) record.queue = record.queue.slice(taken)
}
