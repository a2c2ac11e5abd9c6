import type { KeyState, LockRecord } from '@layerlock/protocol'
import type { MachineContext } from './context.ts'
import { chooseCopies } from './copies.ts'
import { isPublic } from './outcome.ts'
import type { KeyRecord, SessionRef } from './record.ts'

const NOBODY = '' as SessionRef

/** A key's state in one word. */
export function stateOf(record: KeyRecord, nowMs: number): KeyState {
  if (record.queue.length > 0) return 'queued'
  if (record.holds.length > 0) return 'held'
  if (record.outcome !== undefined && isPublic(record.outcome, nowMs)) return 'done'
  if (record.refusals.length > 0) return 'failed'
  return 'free'
}

/** The record as anyone may see it: without session ids and tickets, with ages instead of times. */
export function viewOf(record: KeyRecord, context: MachineContext): LockRecord {
  const { nowMs } = context
  const since = (ms: number) => Math.max(0, Math.round(nowMs - ms))
  const until = (ms: number) => Math.max(0, Math.ceil(ms - nowMs))
  const progressOf = (ticket: string) => {
    const progress = context.progress(ticket)
    return progress === undefined ? {} : { progress }
  }
  const outcome = record.outcome !== undefined && isPublic(record.outcome, nowMs) ? record.outcome : undefined
  const refusal = record.refusals[0]
  return {
    key: record.key,
    state: stateOf(record, nowMs),
    limit: record.limit,
    holders: record.holds.map((hold) => {
      const facts = context.session(hold.session)
      return {
        node: facts?.node ?? 'unknown',
        ...(facts?.endpoint === undefined ? {} : { endpoint: facts.endpoint }),
        fencingToken: hold.token,
        heldMs: since(hold.sinceMs),
        offered: hold.offerEndsMs !== undefined,
        ...progressOf(hold.ticket),
      }
    }),
    queue: record.queue.map((waiter) => ({
      node: context.session(waiter.session)?.node ?? 'unknown',
      waitedMs: since(waiter.sinceMs),
      ...progressOf(waiter.ticket),
    })),
    ...(outcome === undefined
      ? {}
      : {
          outcome: {
            ...(outcome.value === undefined ? {} : { value: outcome.value }),
            fencingToken: outcome.token,
            by: { node: outcome.node },
            ageMs: since(outcome.atMs),
            ...(outcome.endsMs === undefined ? {} : { endsInMs: until(outcome.endsMs) }),
            copies: chooseCopies(record, NOBODY, '', context),
            copyCount: record.copies.length,
          },
        }),
    ...(refusal === undefined
      ? {}
      : {
          failure: {
            error: refusal.error,
            attempts: refusal.attempts,
            retryAfterMs: until(refusal.endsMs),
            ...(refusal.group === undefined ? {} : { group: refusal.group }),
          },
        }),
  }
}
