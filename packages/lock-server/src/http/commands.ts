import type { Acquire, Complete, Fail } from '@layerlock/protocol'
import type { AcquireCommand } from '../core/acquire.ts'
import type { SessionRef } from '../core/record.ts'
import type { CompleteCommand, FailCommand } from '../core/settle.ts'

/** The command that a body asks for, with the defaults of the API. */
export function acquireCommand(session: SessionRef, body: Omit<Acquire, 'waitMs'>): AcquireCommand {
  const { ticket, group, maxHoldMs } = body
  const { enqueue = true, ignoreOutcome = false, unlessReferenced = false, limit = 1 } = body
  return { op: 'acquire', session, ticket, group, enqueue, ignoreOutcome, unlessReferenced, limit, maxHoldMs }
}

export function completeCommand(session: SessionRef, body: Complete): CompleteCommand {
  const { fencingToken, value, retainMs, copy = false, clear = false } = body
  return { op: 'complete', session, fencingToken, value, retainMs, copy, clear }
}

export function failCommand(session: SessionRef, body: Fail): FailCommand {
  const { fencingToken, error, permanent = false, retryAfterMs } = body
  return { op: 'fail', session, fencingToken, error, permanent, retryAfterMs }
}
