import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Key } from '@layerlock/protocol'
import type { KeyRecord, SessionRef } from '../core/record.ts'
import { successorOf } from './key-order.ts'
import type { Versioned } from './lock-store.ts'
import { SqliteEnded } from './sqlite-ended.ts'
import { SqliteWaiters } from './sqlite-waiters.ts'

/** What of a record is in its own row; its lists are in tables of theirs. */
type Head = Omit<KeyRecord, 'queue' | 'ended' | 'copies'>

interface HeadRow {
  readonly key: Key
  readonly version: number
  readonly value: string
}

interface CopyRow {
  readonly key: Key
  readonly session: SessionRef
}

/** Reads and writes records, within whatever transaction there is. */
export class SqliteRecords {
  readonly #read: StatementSync
  readonly #insert: StatementSync
  readonly #update: StatementSync
  readonly #delete: StatementSync
  readonly #list: StatementSync
  readonly #listFrom: StatementSync
  readonly #copies: StatementSync
  readonly #copiesBetween: StatementSync
  readonly #addCopy: StatementSync
  readonly #removeCopy: StatementSync
  readonly #clearCopies: StatementSync
  readonly #waiters: SqliteWaiters
  readonly #ended: SqliteEnded

  constructor(database: DatabaseSync) {
    this.#read = database.prepare('SELECT key, version, value FROM records WHERE key = ?')
    this.#insert = database.prepare('INSERT INTO records (version, token, ended, value, key) VALUES (?, ?, ?, ?, ?)')
    this.#update = database.prepare('UPDATE records SET version = ?, token = ?, ended = ?, value = ? WHERE key = ?')
    this.#delete = database.prepare('DELETE FROM records WHERE key = ?')
    this.#listFrom = database.prepare(
      'SELECT key, version, value FROM records WHERE key > :after AND key >= :prefix ORDER BY key LIMIT :limit',
    )
    // Not LIKE: a prefix is taken as it is. Keys with it lie between itself and the next text of its length.
    this.#list = database.prepare(
      `SELECT key, version, value FROM records WHERE key > :after AND key >= :prefix AND key < :until
       ORDER BY key LIMIT :limit`,
    )
    // In the order in which they came: a row that is added gets the next number of its key.
    this.#copies = database.prepare('SELECT key, session FROM copies WHERE key = ? ORDER BY position')
    this.#copiesBetween = database.prepare(
      'SELECT key, session FROM copies WHERE key BETWEEN ? AND ? ORDER BY key, position',
    )
    this.#addCopy = database.prepare(
      `INSERT INTO copies (key, session, position)
       VALUES (:key, :session, (SELECT coalesce(max(position), 0) + 1 FROM copies WHERE key = :key))`,
    )
    this.#removeCopy = database.prepare('DELETE FROM copies WHERE key = ? AND session = ?')
    this.#clearCopies = database.prepare('DELETE FROM copies WHERE key = ?')
    this.#waiters = new SqliteWaiters(database)
    this.#ended = new SqliteEnded(database)
  }

  /** The record, and how long it is as it is written. */
  read(key: Key): (Versioned & { readonly chars: number }) | undefined {
    const row = this.#read.get(key) as HeadRow | undefined
    if (row === undefined) return undefined
    const copies = (this.#copies.all(key) as unknown as CopyRow[]).map(({ session }) => session)
    const lists = { queue: this.#waiters.read(key), ended: this.#ended.read(key), copies }
    return { chars: row.value.length, version: row.version, record: { ...(JSON.parse(row.value) as Head), ...lists } }
  }

  list(range: { prefix: string; after: string; limit: number }): KeyRecord[] {
    const { prefix, after, limit } = range
    const until = successorOf(prefix)
    const found =
      until === undefined
        ? this.#listFrom.all({ prefix, after, limit })
        : this.#list.all({ prefix, after, until, limit })
    const rows = found as unknown as HeadRow[]
    const [first, last] = [rows[0]?.key, rows.at(-1)?.key]
    if (first === undefined || last === undefined) return []
    const queues = this.#waiters.readBetween(first, last)
    const copies = this.#readCopiesBetween(first, last)
    return rows.map(({ key, value }) => {
      const lists = { queue: queues.get(key) ?? [], ended: this.#ended.read(key), copies: copies.get(key) ?? [] }
      return { ...(JSON.parse(value) as Head), ...lists }
    })
  }

  /** Writes what has changed of a record, undefined standing for none. Gives back how long it is as it is written. */
  write(key: Key, before: KeyRecord | undefined, next: Versioned | undefined): number {
    if (next === undefined) {
      this.#delete.run(key)
      this.#waiters.clear(key)
      this.#ended.write(key, before?.ended ?? [], [])
      this.#clearCopies.run(key)
      return 0
    }
    const { record, version } = next
    const head = { ...record, queue: undefined, ended: undefined, copies: undefined }
    const write = before === undefined ? this.#insert : this.#update
    const json = JSON.stringify(head)
    write.run(version, record.lastToken, record.ended.length, json, key)
    this.#waiters.write(key, before?.queue ?? [], record.queue)
    this.#ended.write(key, before?.ended ?? [], record.ended)
    this.#writeCopies(key, before?.copies ?? [], record.copies)
    return json.length
  }

  /** Takes note of what of a key is on disk; undefined stands for nothing. */
  durable(key: Key, record: KeyRecord | undefined): void {
    this.#ended.durable(key, record?.ended ?? [])
  }

  /** Drops what has no meaning any more, within whatever transaction there is; what it gives back is called after it. */
  tidy(): () => void {
    return this.#ended.tidy()
  }

  /** After each transaction. */
  end(committed: boolean): void {
    this.#waiters.end(committed)
    this.#ended.end(committed)
  }

  #writeCopies(key: Key, before: readonly SessionRef[], after: readonly SessionRef[]): void {
    if (before === after) return
    const known = new Set(before)
    const stays = new Set(after)
    for (const session of before) if (!stays.has(session)) this.#removeCopy.run(key, session)
    for (const session of after) if (!known.has(session)) this.#addCopy.run({ key, session })
  }

  #readCopiesBetween(first: Key, last: Key): Map<Key, SessionRef[]> {
    const rows = Map.groupBy(this.#copiesBetween.all(first, last) as unknown as CopyRow[], ({ key }) => key)
    return new Map(Array.from(rows, ([key, ofKey]) => [key, ofKey.map(({ session }) => session)]))
  }
}
