import { acquire, type AcquireCommand, type AcquireResult } from './acquire.ts'
import type { MachineContext } from './context.ts'
import { addCopy, withdrawCopy } from './copies.ts'
import { createDraft, type Draft } from './draft.ts'
import { endSession, expire, offerAgain, restoreOffers } from './expire.ts'
import { advance } from './grant.ts'
import { isBlank, type KeyRecord, type SessionRef } from './record.ts'
import { cancel, complete, fail, release } from './settle.ts'
import type { CancelCommand, CompleteCommand, FailCommand, ReleaseCommand } from './settle.ts'
import { chooseSource } from './source.ts'

/** Everything that can happen to a key. */
export type Command =
  | AcquireCommand
  | CompleteCommand
  | FailCommand
  | ReleaseCommand
  | CancelCommand
  | { readonly op: 'addCopy' | 'removeCopy'; readonly session: SessionRef }
  | { readonly op: 'forget'; readonly ifToken?: number | undefined }
  /** The answer that gave a lease has reached nobody: it is an offer again, for whoever asks with the ticket. */
  | { readonly op: 'offerAgain'; readonly session: SessionRef; readonly fencingToken: number }
  | { readonly op: 'endSession'; readonly session: SessionRef; readonly reason: string; readonly keepCopies: boolean }
  /** The server has just started, with this record in its store. */
  | { readonly op: 'restart' }
  | { readonly op: 'tick' }

/** What a command is answered, by its `op`. */
export interface Answers {
  acquire: AcquireResult
  complete: undefined
  fail: undefined
  release: undefined
  cancel: undefined
  addCopy: undefined
  removeCopy: undefined
  forget: { readonly forgotten: boolean }
  offerAgain: undefined
  endSession: undefined
  restart: undefined
  tick: undefined
}

export interface Decision<Op extends keyof Answers = keyof Answers> {
  /** The record as it is now: the very same object when nothing changed, undefined when nothing is left to know. */
  readonly record: KeyRecord | undefined
  readonly answer: Answers[Op]
  /** Tickets whose answer has changed: calls parked for them must ask again. */
  readonly wake: ReadonlySet<string>
}

/**
 * The rules of the lock service: from the state of a key, a command and the time to the new state, the answer and who
 * must be woken. Pure: the same arguments always give the same decision, and none of them is changed.
 *
 * @throws {ProtocolError} when the command is refused; time may have changed the record even so, see `tick`
 */
export function decide<C extends Command>(record: KeyRecord, command: C, context: MachineContext): Decision<C['op']> {
  const draft = createDraft(record, context)
  if (command.op === 'restart') restoreOffers(draft)
  expire(draft)
  const answer = carryOut(draft, command)
  wakeRelocated(draft, record)
  const next = isBlank(draft.record) ? undefined : isSame(draft.record, record) ? record : draft.record
  return { record: next, answer: answer as Answers[C['op']], wake: draft.wake }
}

/** Every field but the key: one that is added to the record must be named here. */
const COMPARED: Readonly<Record<Exclude<keyof KeyRecord, 'key'>, true>> = {
  limit: true,
  lastToken: true,
  holds: true,
  queue: true,
  outcome: true,
  copies: true,
  streak: true,
  refusals: true,
  pausedUntilMs: true,
  ended: true,
}
const FIELDS = Object.keys(COMPARED) as (keyof KeyRecord)[]

/** By identity: values are never changed in place. */
function isSame(one: KeyRecord, other: KeyRecord): boolean {
  return FIELDS.every((field) => one[field] === other[field])
}

function carryOut(draft: Draft, command: Command): Answers[keyof Answers] {
  switch (command.op) {
    case 'acquire':
      return acquire(draft, command)
    case 'complete':
      complete(draft, command)
      break
    case 'fail':
      fail(draft, command)
      break
    case 'release':
      release(draft, command)
      break
    case 'cancel':
      cancel(draft, command)
      break
    case 'addCopy':
      addCopy(draft, command.session)
      break
    case 'removeCopy':
      withdrawCopy(draft, command.session)
      break
    case 'forget':
      return { forgotten: forget(draft, command.ifToken) }
    case 'offerAgain':
      offerAgain(draft, command)
      break
    case 'endSession':
      endSession(draft, command.session, command.reason, command.keepCopies)
      break
    case 'restart':
    case 'tick':
      break
  }
  return undefined
}

/**
 * Forgets the outcome with this token and no other, so that of many who find it wrong only the first forgets. Without a
 * token it is an operator who wants the key to begin anew: failures are forgotten as well, and nobody is kept waiting for
 * what one of them has asked.
 */
function forget(draft: Draft, ifToken: number | undefined): boolean {
  const { record } = draft
  const forgotten = record.outcome !== undefined && (ifToken === undefined || record.outcome.token === ifToken)
  if (forgotten) {
    record.outcome = undefined
    record.copies = []
  }
  if (ifToken !== undefined) return forgotten
  const hadFailed = record.refusals.length > 0 || record.streak !== undefined || record.pausedUntilMs !== undefined
  if (record.refusals.length > 0) record.refusals = []
  record.streak = undefined
  record.pausedUntilMs = undefined
  advance(draft)
  return forgotten || hadFailed
}

/** Wakes the waiters whose source is another one than they were told. */
function wakeRelocated(draft: Draft, before: KeyRecord): void {
  if (draft.record.holds === before.holds) return
  for (const waiter of draft.record.queue) {
    if (chooseSource(draft.record, waiter, draft.context) !== waiter.told) draft.wake.add(waiter.ticket)
  }
}
