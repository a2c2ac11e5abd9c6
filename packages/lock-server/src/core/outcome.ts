import type { Draft } from './draft.ts'
import type { Outcome, Waiter } from './record.ts'

/** The outcome that this wish may read, if any. */
export function visibleOutcome(draft: Draft, wish: { ticket: string; ignoreOutcome: boolean }): Outcome | undefined {
  const { outcome } = draft.record
  if (outcome === undefined || wish.ignoreOutcome) return undefined
  return isPublic(outcome, draft.context.nowMs) || outcome.audience.includes(wish.ticket) ? outcome : undefined
}

/** Whether everybody may read the outcome still. */
export function isPublic(outcome: Outcome, nowMs: number): boolean {
  return outcome.endsMs === undefined || nowMs < outcome.endsMs
}

/** When the outcome can be dropped: neither the public nor its audience may read it. Undefined: never by time. */
export function outcomeEndMs(outcome: Outcome): number | undefined {
  if (outcome.endsMs === undefined) return undefined
  return outcome.audience.length === 0 ? outcome.endsMs : Math.max(outcome.endsMs, outcome.audienceEndsMs)
}

/** Takes everyone out of the queue who is content with the outcome: they are all told at once (rule 4). */
export function settleWaiters(draft: Draft): readonly Waiter[] {
  const { record } = draft
  const settled = record.queue.filter((waiter) => !waiter.ignoreOutcome)
  if (settled.length > 0) record.queue = record.queue.filter((waiter) => waiter.ignoreOutcome)
  for (const { ticket } of settled) draft.wake.add(ticket)
  return settled
}
