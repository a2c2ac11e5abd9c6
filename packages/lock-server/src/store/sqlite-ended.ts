import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Key } from '@layerlock/protocol'
import type { Ended } from '../core/record.ts'
import { RowIds, type RowSink, writeRows } from './row-diff.ts'

interface EndedRow {
  readonly key: Key
  readonly id: number
  readonly value: string
}

/**
 * How tickets ended, a ticket a row, in the order of time whatever their keys: each is added at the end of the table and
 * soon removed at its start, so that few pages are written for many keys. They are read only when the store is opened,
 * and kept in memory from then on: they are not remembered for long.
 */
export class SqliteEnded implements RowSink {
  readonly #insert: StatementSync
  readonly #update: StatementSync
  readonly #delete: StatementSync
  readonly #ids: RowIds
  readonly #byKey = new Map<Key, readonly Ended[]>()

  constructor(database: DatabaseSync) {
    this.#insert = database.prepare('INSERT INTO ended (id, key, value) VALUES (?, ?, ?)')
    this.#update = database.prepare('UPDATE ended SET value = ? WHERE id = ?')
    this.#delete = database.prepare('DELETE FROM ended WHERE id = ?')
    const rows = database.prepare('SELECT id, key, value FROM ended ORDER BY id').all() as unknown as EndedRow[]
    this.#ids = new RowIds(rows.at(-1)?.id ?? 0)
    const lists = new Map<Key, Ended[]>()
    for (const { id, key, value } of rows) {
      const ended = JSON.parse(value) as Ended
      this.#ids.learn(ended, id)
      const list = lists.get(key)
      if (list === undefined) lists.set(key, [ended])
      else list.push(ended)
    }
    for (const [key, list] of lists) this.#byKey.set(key, list)
  }

  read(key: Key): readonly Ended[] {
    return this.#byKey.get(key) ?? NONE
  }

  write(key: Key, before: readonly Ended[], after: readonly Ended[]): void {
    writeRows(key, { before, after }, { ids: this.#ids, sink: this })
  }

  insert(key: Key, id: number, value: string): void {
    this.#insert.run(id, key, value)
  }

  update(_key: Key, id: number, value: string): void {
    this.#update.run(value, id)
  }

  delete(_key: Key, id: number): void {
    this.#delete.run(id)
  }

  /** Takes note of what was committed. */
  committed(key: Key, ended: readonly Ended[]): void {
    if (ended.length === 0) this.#byKey.delete(key)
    else this.#byKey.set(key, ended)
  }

  end(committed: boolean): void {
    this.#ids.end(committed)
  }
}

const NONE: readonly Ended[] = []
