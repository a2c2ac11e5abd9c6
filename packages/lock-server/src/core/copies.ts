import type { Peer } from '@layerlock/protocol'
import type { MachineContext } from './context.ts'
import type { Draft } from './draft.ts'
import { isPublic, settleWaiters } from './outcome.ts'
import type { KeyRecord, SessionRef, Waiter } from './record.ts'

const MAX_COPIES_TOLD = 3

/** Whether a live session other than this one has a copy. */
export function isReferencedByOthers(draft: Draft, session: SessionRef): boolean {
  return draft.record.copies.some((ref) => ref !== session && draft.context.session(ref) !== undefined)
}

/**
 * Adds a session's copy. Where nothing was completed the copy itself is the outcome: after a restart of a lock server
 * without a disk, the copies that the nodes announce again are all that is known, and they must be found.
 */
export function addCopy(draft: Draft, session: SessionRef): void {
  const { record, context } = draft
  listCopy(draft, session)
  if (record.outcome !== undefined && isPublic(record.outcome, context.nowMs)) return
  const token = Math.max(record.lastToken + 1, context.tokenFloor)
  record.lastToken = token
  const node = context.session(session)?.node ?? 'unknown'
  const audience = settleWaiters(draft).filter((waiter) => record.copies.includes(waiter.session))
  record.outcome = {
    token,
    node,
    atMs: context.nowMs,
    onCopies: true,
    audience: audience.map((waiter) => waiter.ticket),
    audienceEndsMs: context.nowMs,
  }
}

/** Takes note of a copy, and of nothing else. */
export function listCopy(draft: Draft, session: SessionRef): void {
  const { record } = draft
  if (record.copies.includes(session)) return
  record.copies = [...record.copies, session]
  refuseReferenced(draft)
}

/** Sends away who waits to delete what others have now: asking again they learn that it is `in_use`. */
function refuseReferenced(draft: Draft): void {
  const { record } = draft
  const isRefused = (waiter: Waiter) => waiter.unlessReferenced && isReferencedByOthers(draft, waiter.session)
  const refused = record.queue.filter(isRefused)
  if (refused.length === 0) return
  record.queue = record.queue.filter((waiter) => !refused.includes(waiter))
  for (const { ticket } of refused) draft.wake.add(ticket)
}

/** Withdraws a session's copy, and with the last one the outcome that rests on it (rule 3). */
export function withdrawCopy(draft: Draft, session: SessionRef): void {
  const { record } = draft
  if (!record.copies.includes(session)) return
  record.copies = record.copies.filter((ref) => ref !== session)
  if (record.copies.length === 0 && record.outcome?.onCopies === true) record.outcome = undefined
}

/** Up to three live copies with an endpoint, never the asker's own; `seed` (a ticket) spreads the askers over them. */
export function chooseCopies(record: KeyRecord, asker: SessionRef, seed: string, context: MachineContext): Peer[] {
  const { copies } = record
  const chosen: Peer[] = []
  let index = copies.length === 0 ? 0 : hash(seed) % copies.length
  for (let seen = 0; seen < copies.length && chosen.length < MAX_COPIES_TOLD; seen++) {
    const ref = copies[index]!
    const facts = ref === asker ? undefined : context.session(ref)
    if (facts?.endpoint !== undefined) chosen.push({ node: facts.node, endpoint: facts.endpoint })
    index = (index + 1) % copies.length
  }
  return chosen
}

/** FNV-1a: spreads, and nothing more is asked of it. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (let index = 0; index < text.length; index++) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193)
  }
  return value >>> 0
}
