import { ProtocolError, type WorkError } from '@layerlock/protocol'
import { listCopy } from './copies.ts'
import { type Draft, rememberEnd } from './draft.ts'
import { findEnded } from './ended-tickets.ts'
import { type Failure, noteFailure } from './failure.ts'
import { advance } from './grant.ts'
import { settleWaiters } from './outcome.ts'
import type { Ended, Hold, SessionRef } from './record.ts'

interface ByToken {
  readonly session: SessionRef
  readonly fencingToken: number
}

export interface CompleteCommand extends ByToken {
  readonly op: 'complete'
  readonly value?: unknown
  readonly retainMs?: number | undefined
  readonly copy: boolean
  readonly clear: boolean
}

export interface FailCommand extends ByToken {
  readonly op: 'fail'
  readonly error: WorkError
  readonly permanent: boolean
  readonly retryAfterMs?: number | undefined
}

export interface ReleaseCommand extends ByToken {
  readonly op: 'release'
}

export interface CancelCommand {
  readonly op: 'cancel'
  readonly session: SessionRef
  readonly ticket: string
}

/** Ends a hold with an outcome, or with `clear` takes away the one that is there. */
export function complete(draft: Draft, command: CompleteCommand): void {
  const hold = leave(draft, command, 'completed')
  if (hold === undefined) return
  const { record } = draft
  record.streak = undefined
  record.refusals = []
  if (command.clear) {
    record.outcome = undefined
    record.copies = []
  } else {
    leaveOutcome(draft, hold, command)
  }
  advance(draft)
}

function leaveOutcome(draft: Draft, hold: Hold, { value, retainMs, copy }: CompleteCommand): void {
  const { record, context } = draft
  const { nowMs, settings } = context
  const keepMs = retainMs ?? (copy ? undefined : settings.retainMs)
  const isShort = keepMs !== undefined && keepMs < settings.audienceMs
  const hasCopy = (session: SessionRef) => record.copies.includes(session) || (copy && session === hold.session)
  // However short `retainMs` is, those who waited can still hear of it.
  const audience = settleWaiters(draft).filter((waiter) => isShort || hasCopy(waiter.session))
  record.outcome = {
    token: hold.token,
    value,
    node: context.session(hold.session)?.node ?? 'unknown',
    atMs: nowMs,
    endsMs: keepMs === undefined ? undefined : nowMs + keepMs,
    onCopies: copy,
    audience: audience.map((waiter) => waiter.ticket),
    audienceEndsMs: nowMs + settings.audienceMs,
  }
  if (copy) listCopy(draft, hold.session)
}

/** Ends a hold with an error: the next in line tries, or all are told that it cannot work. */
export function fail(draft: Draft, command: FailCommand): void {
  const hold = leave(draft, command, 'failed')
  if (hold === undefined) return
  const { error, permanent, retryAfterMs } = command
  noteFailure(draft, hold, { error, permanent, retryAfterMs, reported: true })
  advance(draft)
}

/** Ends a hold without an outcome. */
export function release(draft: Draft, command: ReleaseCommand): void {
  if (leave(draft, command, 'released') !== undefined) advance(draft)
}

/** Leaves the queue, or gives back what was just granted. Also remembers a ticket that has not arrived yet. */
export function cancel(draft: Draft, { session, ticket }: CancelCommand): void {
  const { record } = draft
  const isIt = (entry: { ticket: string; session: SessionRef }) => entry.ticket === ticket && entry.session === session
  if (findEnded(record.ended, ticket, session) !== undefined) return
  const hold = record.holds.find(isIt)
  record.holds = record.holds.filter((entry) => !isIt(entry))
  record.queue = record.queue.filter((entry) => !isIt(entry))
  rememberEnd(draft, { ticket, session, token: hold?.token, how: 'cancelled' })
  draft.wake.add(ticket)
  advance(draft)
}

/** Ends a hold whose session or time is over. */
export function expireHold(draft: Draft, hold: Hold, failure: Failure): void {
  removeHold(draft, hold, 'expired')
  noteFailure(draft, hold, failure)
}

/** Takes a hold away, remembering how it ended. */
export function removeHold(draft: Draft, hold: Hold, how: Ended['how']): void {
  const { record } = draft
  record.holds = record.holds.filter((other) => other !== hold)
  rememberEnd(draft, { ticket: hold.ticket, session: hold.session, token: hold.token, how })
  draft.wake.add(hold.ticket)
}

/**
 * Ends the hold with this token. Undefined when the very same request was carried out before.
 *
 * @throws {ProtocolError} `lease_lost` for a token that holds the key no longer; nothing is changed then (rule 6)
 */
function leave(draft: Draft, { session, fencingToken }: ByToken, how: Ended['how']): Hold | undefined {
  const { record } = draft
  const isIt = (entry: { token?: number | undefined; session: SessionRef }) =>
    entry.token === fencingToken && entry.session === session
  const hold = record.holds.find(isIt)
  if (hold === undefined) {
    const before = record.ended.find(isIt)
    if (before?.how === how) return undefined
    const reason = before === undefined ? 'it does not hold the key' : `its hold was ${before.how}`
    throw new ProtocolError('lease_lost', `fencingToken: ${fencingToken} is no longer valid, ${reason}`)
  }
  removeHold(draft, hold, how)
  return hold
}
