import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Key } from '@layerlock/protocol'
import type { Waiter } from '../core/record.ts'
import { RowIds, type RowSink, writeRows } from './row-diff.ts'

interface WaiterRow {
  readonly key: Key
  readonly id: number
  readonly value: string
}

/** The queues of all records, a waiter a row, those of a key together: a hand-over writes a row, not the queue. */
export class SqliteWaiters implements RowSink {
  readonly #insert: StatementSync
  readonly #update: StatementSync
  readonly #delete: StatementSync
  readonly #clear: StatementSync
  readonly #read: StatementSync
  readonly #between: StatementSync
  readonly #ids: RowIds

  constructor(database: DatabaseSync) {
    this.#insert = database.prepare('INSERT INTO waiters (key, id, value) VALUES (?, ?, ?)')
    this.#update = database.prepare('UPDATE waiters SET value = ? WHERE key = ? AND id = ?')
    this.#delete = database.prepare('DELETE FROM waiters WHERE key = ? AND id = ?')
    this.#clear = database.prepare('DELETE FROM waiters WHERE key = ?')
    this.#read = database.prepare('SELECT key, id, value FROM waiters WHERE key = ? ORDER BY id')
    this.#between = database.prepare('SELECT key, id, value FROM waiters WHERE key BETWEEN ? AND ? ORDER BY key, id')
    const last = database.prepare('SELECT max(id) AS id FROM waiters').get() as { id: number | null }
    this.#ids = new RowIds(last.id ?? 0)
  }

  read(key: Key): readonly Waiter[] {
    return (this.#read.all(key) as unknown as WaiterRow[]).map((row) => this.#parse(row))
  }

  /** The queues of all keys from one to another. */
  readBetween(first: Key, last: Key): Map<Key, Waiter[]> {
    const rows = Map.groupBy(this.#between.all(first, last) as unknown as WaiterRow[], ({ key }) => key)
    return new Map(Array.from(rows, ([key, ofKey]) => [key, ofKey.map((row) => this.#parse(row))]))
  }

  write(key: Key, before: readonly Waiter[], after: readonly Waiter[]): void {
    writeRows(key, { before, after }, { ids: this.#ids, sink: this })
  }

  clear(key: Key): void {
    this.#clear.run(key)
  }

  insert(key: Key, id: number, value: string): void {
    this.#insert.run(key, id, value)
  }

  update(key: Key, id: number, value: string): void {
    this.#update.run(value, key, id)
  }

  delete(key: Key, id: number): void {
    this.#delete.run(key, id)
  }

  end(committed: boolean): void {
    this.#ids.end(committed)
  }

  #parse({ id, value }: WaiterRow): Waiter {
    const waiter = JSON.parse(value) as Waiter
    this.#ids.learn(waiter, id)
    return waiter
  }
}
