import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Key } from '@layerlock/protocol'
import type { Ended } from '../core/record.ts'
import { RowIds } from './row-diff.ts'

interface EndedRow {
  readonly slot: number
  readonly key: Key
  readonly value: string
}

/** How many rows without a meaning may stay when space is given back. */
const SPARE_SLOTS = 1_024

/**
 * How tickets ended, a ticket a row. Such lists only grow at their end and shrink at their start, so a record says how
 * many it has, and its list is the last so many rows of its key: what is dropped needs no write, and its row (its slot) is
 * written over by a later one. They are read when the store is opened, and kept in memory from then on, for they are not
 * remembered for long.
 */
export class SqliteEnded {
  readonly #insert: StatementSync
  readonly #replace: StatementSync
  readonly #delete: StatementSync
  readonly #byKey = new Map<Key, readonly Ended[]>()
  readonly #slots: RowIds
  /** Rows that no list has. */
  readonly #free: number[] = []
  #lastSeq = 0
  /** What this transaction has taken and dropped, until it ends. */
  #taken: number[] = []
  #dropped: number[] = []

  constructor(database: DatabaseSync) {
    this.#insert = database.prepare('INSERT INTO ended (seq, key, value, slot) VALUES (?, ?, ?, ?)')
    this.#replace = database.prepare('UPDATE ended SET seq = ?, key = ?, value = ? WHERE slot = ?')
    this.#delete = database.prepare('DELETE FROM ended WHERE slot = ?')
    const last = database.prepare('SELECT max(seq) AS seq, max(slot) AS slot FROM ended').get()
    const { seq, slot } = last as { seq: number | null; slot: number | null }
    this.#lastSeq = seq ?? 0
    this.#slots = new RowIds(slot ?? 0)
    this.#load(database)
  }

  read(key: Key): readonly Ended[] {
    return this.#byKey.get(key) ?? NONE
  }

  write(key: Key, before: readonly Ended[], after: readonly Ended[]): void {
    if (before === after) return
    const dropped = after.length === 0 ? before.length : this.#indexOf(before, after[0]!)
    const kept = before.length - dropped
    const isContinued = this.#continues(before, dropped, after)
    const drops = isContinued ? before.slice(0, dropped) : before
    const adds = isContinued ? after.slice(kept) : after
    for (const end of drops) {
      const slot = this.#slots.get(end)
      if (slot !== undefined) this.#dropped.push(slot)
    }
    for (const end of adds) this.#add(key, end)
  }

  /** Takes note of what is on disk. */
  durable(key: Key, ended: readonly Ended[]): void {
    if (ended.length === 0) this.#byKey.delete(key)
    else this.#byKey.set(key, ended)
  }

  /** After each transaction. */
  end(committed: boolean): void {
    // By now the rows that were dropped stand in no list, or else those that were taken still have what they had.
    this.#free.push(...(committed ? this.#dropped : this.#taken))
    this.#slots.end(committed)
    this.#taken = []
    this.#dropped = []
  }

  /** Deletes rows that no list has, but for some. What it gives back takes note of that, once it is committed. */
  tidy(): () => void {
    for (const slot of this.#free.slice(SPARE_SLOTS)) this.#delete.run(slot)
    return () => void this.#free.splice(SPARE_SLOTS)
  }

  #add(key: Key, end: Ended): void {
    const free = this.#free.pop()
    const slot = this.#slots.assign(end, free)
    if (free !== undefined) this.#taken.push(slot)
    const write = free === undefined ? this.#insert : this.#replace
    const { changes } = write.run(++this.#lastSeq, key, JSON.stringify(end), slot)
    if (changes !== 1) throw new Error(`slot ${slot} of the ended tickets is not there`)
  }

  /** Where the first of the new list stands in the old one; at its end when it does not. */
  #indexOf(before: readonly Ended[], first: Ended): number {
    for (let at = 0; at < before.length; at++) if (this.#isSame(before[at]!, first)) return at
    return before.length
  }

  /** Whether the new list begins with all that the old one has from there on. */
  #continues(before: readonly Ended[], from: number, after: readonly Ended[]): boolean {
    if (before.length - from > after.length) return false
    // Not `every`: this is gone through at each change of a busy key.
    for (let at = from; at < before.length; at++) if (!this.#isSame(before[at]!, after[at - from]!)) return false
    return true
  }

  /** One object, or two that were read from the same row. */
  #isSame(one: Ended, other: Ended): boolean {
    if (one === other) return true
    const slot = this.#slots.get(other)
    return slot !== undefined && slot === this.#slots.get(one) && one.ticket === other.ticket
  }

  #load(database: DatabaseSync): void {
    const rows = database.prepare('SELECT slot, key, value FROM ended ORDER BY seq').all() as unknown as EndedRow[]
    const counted = database.prepare('SELECT key, ended FROM records WHERE ended > 0').all()
    const counts = new Map((counted as unknown as { key: Key; ended: number }[]).map(({ key, ended }) => [key, ended]))
    const lists = new Map<Key, Ended[]>()
    for (const row of rows.toReversed()) {
      const list = lists.get(row.key) ?? []
      if (list.length >= (counts.get(row.key) ?? 0)) {
        this.#free.push(row.slot)
        continue
      }
      const ended = JSON.parse(row.value) as Ended
      this.#slots.learn(ended, row.slot)
      list.push(ended)
      lists.set(row.key, list)
    }
    for (const [key, list] of lists) this.#byKey.set(key, list.toReversed())
  }
}

const NONE: readonly Ended[] = []
