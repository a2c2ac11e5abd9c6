import type { KeyRecord } from '../core/record.ts'

/** How much there is of everything, over all keys. */
export interface TallyCounts {
  /** Keys of which anything is known. */
  readonly keys: number
  readonly holds: number
  readonly waiters: number
  readonly outcomes: number
  readonly copies: number
}

/** Keeps count as records change, so that nobody has to look at all of them to know. */
export class Tally implements TallyCounts {
  keys = 0
  holds = 0
  waiters = 0
  outcomes = 0
  copies = 0

  /** Takes note of a change of one key: the record before and after, undefined where there is none. */
  change(before: KeyRecord | undefined, after: KeyRecord | undefined): void {
    this.#add(before, -1)
    this.#add(after, 1)
  }

  #add(record: KeyRecord | undefined, sign: 1 | -1): void {
    if (record === undefined) return
    this.keys += sign
    this.holds += sign * record.holds.length
    this.waiters += sign * record.queue.length
    this.copies += sign * record.copies.length
    if (record.outcome !== undefined) this.outcomes += sign
  }
}
