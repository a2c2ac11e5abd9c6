import { type AcquireAnswer, type Done, type Holder, ProtocolError, type Queued } from '@layerlock/protocol'
import { chooseCopies, isReferencedByOthers, withdrawCopy } from './copies.ts'
import type { Draft } from './draft.ts'
import { findEnded } from './ended-tickets.ts'
import { refusalFor } from './failure.ts'
import { grant, hasRoom } from './grant.ts'
import { visibleOutcome } from './outcome.ts'
import type { Hold, Outcome, SessionRef, Waiter } from './record.ts'
import { chooseSource } from './source.ts'

export interface AcquireCommand {
  readonly op: 'acquire'
  readonly session: SessionRef
  readonly ticket: string
  readonly group?: string | undefined
  readonly enqueue: boolean
  readonly ignoreOutcome: boolean
  readonly unlessReferenced: boolean
  readonly limit: number
  readonly maxHoldMs?: number | undefined
}

export interface AcquireResult {
  readonly answer: AcquireAnswer
  /** For a queued ticket: whether its source is another one than the last answer named. */
  readonly sourceChanged: boolean
}

/** Answers a wish with the state as it is now. The same ticket, asked again, never enqueues or grants twice. */
export function acquire(draft: Draft, wish: AcquireCommand): AcquireResult {
  const { record } = draft
  const held = record.holds.find((hold) => hold.ticket === wish.ticket && hold.session === wish.session)
  if (held !== undefined) return settled(grantedAnswer(draft, takeUp(draft, held)))

  const ended = findEnded(record.ended, wish.ticket, wish.session)
  // Asking says that one has none. A late duplicate says nothing any more, nor does going on to wait: what the session
  // has got since is not taken back.
  if (ended === undefined && !wish.unlessReferenced && isNew(draft, wish)) withdrawCopy(draft, wish.session)
  const outcome = visibleOutcome(draft, wish)
  if (outcome !== undefined) return settled(doneAnswer(draft, outcome, wish))
  if (ended !== undefined) {
    throw new ProtocolError('lease_lost', `ticket: ${wish.ticket} has ended (${ended.how}); ask with a new ticket`)
  }
  const refusal = refusalFor(draft, wish.group)
  if (refusal !== undefined) {
    const retryAfterMs = Math.max(0, Math.ceil(refusal.endsMs - draft.context.nowMs))
    return settled({ status: 'failed', error: refusal.error, attempts: refusal.attempts, retryAfterMs })
  }
  return stand(draft, wish)
}

/** Whether this ticket is asked for the first time: it neither waits nor was it told of the outcome. */
function isNew({ record }: Draft, { ticket, session }: AcquireCommand): boolean {
  if (record.outcome?.audience.includes(ticket) === true) return false
  return !record.queue.some((waiter) => waiter.ticket === ticket && waiter.session === session)
}

function settled(answer: AcquireAnswer): AcquireResult {
  return { answer, sourceChanged: false }
}

/** Takes a place: the lease when it is free, else one in the queue. */
function stand(draft: Draft, wish: AcquireCommand): AcquireResult {
  const { record, context } = draft
  if (wish.unlessReferenced && isReferencedByOthers(draft, wish.session)) {
    throw new ProtocolError('in_use', `key: other sessions have copies of ${record.key}`)
  }
  const inUse = record.holds.length > 0 || record.queue.length > 0
  if (inUse && record.limit !== wish.limit) {
    throw new ProtocolError('limit_mismatch', `limit: ${wish.limit} differs from ${record.limit}, which is in use`)
  }
  record.limit = wish.limit

  const index = record.queue.findIndex((waiter) => waiter.ticket === wish.ticket && waiter.session === wish.session)
  if (index >= 0) return queued(draft, index)
  if (hasRoom(draft) && record.queue.length === 0) return settled(grantedAnswer(draft, grant(draft, wish)))
  if (!wish.enqueue) {
    const holder = describeHolder(draft)
    return settled({ status: 'busy', ...(holder === undefined ? {} : { holder }) })
  }
  if (record.queue.length >= context.settings.maxQueue) {
    throw new ProtocolError('queue_full', `key: ${record.queue.length} tickets wait already, no more are allowed`)
  }
  const { ticket, session, group, ignoreOutcome, unlessReferenced, maxHoldMs } = wish
  const waiter: Waiter = { ticket, session, group, ignoreOutcome, unlessReferenced, maxHoldMs, sinceMs: context.nowMs }
  record.queue = [...record.queue, { ...waiter, told: chooseSource(record, waiter, context) }]
  return queued(draft, record.queue.length - 1)
}

/** The client has asked again, so the offer is taken up (rule 5). */
function takeUp(draft: Draft, held: Hold): Hold {
  if (held.offerEndsMs === undefined) return held
  const holdEndsMs = held.maxHoldMs === undefined ? undefined : draft.context.nowMs + held.maxHoldMs
  const taken: Hold = { ...held, offerEndsMs: undefined, holdEndsMs }
  draft.record.holds = draft.record.holds.map((hold) => (hold === held ? taken : hold))
  return taken
}

function doneAnswer(draft: Draft, outcome: Outcome, asker: { ticket: string; session: SessionRef }): Done {
  return {
    status: 'done',
    ...(outcome.value === undefined ? {} : { value: outcome.value }),
    fencingToken: outcome.token,
    by: { node: outcome.node },
    ageMs: Math.max(0, Math.round(draft.context.nowMs - outcome.atMs)),
    copies: chooseCopies(draft.record, asker.session, asker.ticket, draft.context),
  }
}

function grantedAnswer({ context }: Draft, hold: Hold): AcquireAnswer {
  const { holdEndsMs } = hold
  return {
    status: 'granted',
    fencingToken: hold.token,
    attempt: hold.attempt,
    ...(hold.lastError === undefined ? {} : { lastError: hold.lastError }),
    ...(holdEndsMs === undefined ? {} : { holdMs: Math.max(0, Math.floor(holdEndsMs - context.nowMs)) }),
  }
}

function queued(draft: Draft, index: number): AcquireResult {
  const { record, context } = draft
  const waiter = record.queue[index]!
  const sourceRef = chooseSource(record, waiter, context)
  const sourceChanged = sourceRef !== waiter.told
  if (sourceChanged) record.queue = record.queue.with(index, { ...waiter, told: sourceRef })
  const facts = sourceRef === undefined ? undefined : context.session(sourceRef)
  const holder = describeHolder(draft)
  const answer: Queued = {
    status: 'queued',
    position: index + 1,
    ...(holder === undefined ? {} : { holder }),
    ...(facts?.endpoint === undefined ? {} : { source: { node: facts.node, endpoint: facts.endpoint } }),
  }
  return { answer, sourceChanged }
}

function describeHolder(draft: Draft): Holder | undefined {
  const hold = draft.record.holds[0]
  const facts = hold === undefined ? undefined : draft.context.session(hold.session)
  if (hold === undefined || facts === undefined) return undefined
  const progress = draft.context.progress(hold.ticket)
  return {
    node: facts.node,
    ...(facts.endpoint === undefined ? {} : { endpoint: facts.endpoint }),
    ...(progress === undefined ? {} : { progress }),
  }
}
