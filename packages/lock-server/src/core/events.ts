import type { LockEvent } from '@layerlock/protocol'
import type { Ended, KeyRecord, SessionRef } from './record.ts'

/** A session's node, as far as it is still known. */
type NodeOf = (session: SessionRef) => string | undefined

/**
 * What happened between two records of a key, in an order in which it can have happened. Told from the records alone, so
 * that nothing can change without an event, whichever command or deadline changed it.
 */
export function eventsBetween(
  before: KeyRecord | undefined,
  after: KeyRecord | undefined,
  nodeOf: NodeOf,
): LockEvent[] {
  const key = (after ?? before)?.key
  if (key === undefined) return []
  const named = (session: SessionRef) => {
    const node = nodeOf(session)
    return node === undefined ? {} : { node }
  }
  const ended = added(before?.ended, after?.ended).map((end) => {
    const token = end.token === undefined ? {} : { fencingToken: end.token }
    return { type: end.how, key, ...named(end.session), ...token, ...errorOf(end, after) } as const
  })
  const queued = added(before?.queue, after?.queue, 'ticket').map(
    (waiter) => ({ type: 'queued', key, ...named(waiter.session) }) as const,
  )
  const granted = added(before?.holds, after?.holds, 'token').map(
    (hold) => ({ type: 'granted', key, ...named(hold.session), fencingToken: hold.token }) as const,
  )
  const gone = before?.outcome !== undefined && after?.outcome === undefined
  const forgotten = gone ? [{ type: 'forgotten', key, fencingToken: before.outcome.token } as const] : []
  const announced = announcedOutcome(before, after)
  return [...queued, ...ended, ...announced, ...forgotten, ...granted]
}

/** An outcome that no hold has left behind: a copy that was announced. */
function announcedOutcome(before: KeyRecord | undefined, after: KeyRecord | undefined): LockEvent[] {
  const outcome = after?.outcome
  if (after === undefined || outcome === undefined || outcome.token === before?.outcome?.token) return []
  if (after.ended.some((end) => end.token === outcome.token)) return []
  return [{ type: 'completed', key: after.key, node: outcome.node, fencingToken: outcome.token }]
}

function errorOf(end: Ended, after: KeyRecord | undefined): Pick<LockEvent, 'error'> {
  if (end.how !== 'failed' && end.how !== 'expired') return {}
  const error = after?.streak?.error ?? after?.refusals.at(-1)?.error
  return error === undefined ? {} : { error }
}

/**
 * The entries that are new, by identity or by a field that names them. Lists only grow at their end, so the new ones are
 * the last: what stands before is not looked at, for some lists are long.
 */
function added<T extends object>(before: readonly T[] = [], after: readonly T[] = [], name?: keyof T): readonly T[] {
  if (before === after || after.length === 0) return []
  const isKnown = (entry: T) => before.lastIndexOf(entry) >= 0 || (name !== undefined && isNamed(before, entry, name))
  let first = after.length
  while (first > 0 && !isKnown(after[first - 1]!)) first--
  return after.slice(first)
}

function isNamed<T>(entries: readonly T[], entry: T, name: keyof T): boolean {
  return entries.findLastIndex((other) => other[name] === entry[name]) >= 0
}
