import type { Ended, SessionRef } from './record.ts'

/**
 * The hashes of the tickets of a list of those that ended, in its order. Nearly every wish is a new one, and to find that
 * out by looking at each of them would be the dearest part of a busy key's day. Only derived: a list without is hashed
 * when it is first asked about.
 */
const hashes = new WeakMap<readonly Ended[], readonly number[]>()

/** How this ticket of this session ended, if it did so not long ago. */
export function findEnded(ended: readonly Ended[], ticket: string, session: SessionRef): Ended | undefined {
  if (ended.length === 0) return undefined
  const known = hashesOf(ended)
  const wanted = hash(ticket)
  for (let index = known.indexOf(wanted); index >= 0; index = known.indexOf(wanted, index + 1)) {
    const end = ended[index]!
    if (end.ticket === ticket && end.session === session) return end
  }
  return undefined
}

/** The list with one more at its end, and without the first when there are too many. */
export function appendEnded(ended: readonly Ended[], end: Ended, most: number): readonly Ended[] {
  const first = ended.length >= most ? 1 : 0
  const next = ended.slice(first)
  next.push(end)
  const nextHashes = hashesOf(ended).slice(first)
  nextHashes.push(hash(end.ticket))
  hashes.set(next, nextHashes)
  return next
}

/** The list without those whose time is over. They are remembered equally long each, so these stand first. */
export function dropEnded(ended: readonly Ended[], nowMs: number): readonly Ended[] {
  if (ended.length === 0 || ended[0]!.untilMs > nowMs) return ended
  const first = ended.findIndex(({ untilMs }) => untilMs > nowMs)
  if (first < 0) return []
  const next = ended.slice(first)
  hashes.set(next, hashesOf(ended).slice(first))
  return next
}

function hashesOf(ended: readonly Ended[]): readonly number[] {
  const known = hashes.get(ended)
  if (known !== undefined) return known
  const made = ended.map(({ ticket }) => hash(ticket))
  hashes.set(ended, made)
  return made
}

/** FNV-1a over the code units, cut to what V8 keeps in an array without a box. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (let index = 0; index < text.length; index++) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193)
  }
  return (value >>> 0) & 0x3fff_ffff
}
