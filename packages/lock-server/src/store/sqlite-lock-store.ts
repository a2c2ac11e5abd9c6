import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Key } from '@layerlock/protocol'
import type { KeyRecord } from '../core/record.ts'
import type { LockStore, StoredSession, Versioned } from './lock-store.ts'
import { openDatabase } from './sqlite-database.ts'

/** How many committed records are kept in memory, so that busy keys are not parsed at each call. */
const CACHED_RECORDS = 10_000

/** A change that waits for the transaction of this turn of the event loop. */
interface Change {
  readonly apply: () => void
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/**
 * Keeps everything in one SQLite file. All changes of one turn of the event loop go into one transaction, which is on
 * disk (`synchronous = FULL`) before any of them resolves; so durability costs one sync a turn, however many changes.
 */
export class SqliteLockStore implements LockStore {
  readonly #database: DatabaseSync
  readonly #statements: ReturnType<typeof prepare>
  readonly #cache = new Map<Key, Versioned>()
  /** What the next transaction writes, by key: the state that a swap in the same turn compares with. */
  readonly #pending = new Map<Key, Versioned | undefined>()
  #changes: Change[] = []
  #flushed: Promise<void> | undefined
  #version: number
  #greatestToken: number

  private constructor(database: DatabaseSync) {
    this.#database = database
    this.#statements = prepare(database)
    const counters = this.#statements.readCounters.get() as { version: number; greatestToken: number }
    this.#version = counters.version
    this.#greatestToken = counters.greatestToken
  }

  /** Opens the file, or makes it. @throws {StoreError} when it cannot be opened, is in use, or is not ours */
  static open(path: string): SqliteLockStore {
    return new SqliteLockStore(openDatabase(path))
  }

  read(key: Key): Promise<Versioned | undefined> {
    return Promise.resolve(this.#current(key))
  }

  async swap(key: Key, expectedVersion: number, record: KeyRecord | undefined): Promise<boolean> {
    const current = this.#pending.has(key) ? this.#pending.get(key) : this.#current(key)
    if ((current?.version ?? 0) !== expectedVersion) return false
    const next = record === undefined ? undefined : { record, version: ++this.#version }
    this.#pending.set(key, next)
    await this.#change(() => this.#write(key, next))
    this.#remember(key, next)
    return true
  }

  list({ prefix, after, limit }: { prefix: string; after?: string | undefined; limit: number }) {
    const rows = this.#statements.list.all({ prefix, after: after ?? '', limit }) as { value: string }[]
    return Promise.resolve(rows.map(({ value }) => JSON.parse(value) as KeyRecord))
  }

  greatestToken(): Promise<number> {
    return Promise.resolve(this.#greatestToken)
  }

  async saveSession(session: StoredSession): Promise<void> {
    const value = JSON.stringify(session)
    await this.#change(() => this.#statements.saveSession.run(session.id, value))
  }

  async deleteSession(id: string): Promise<void> {
    await this.#change(() => this.#statements.deleteSession.run(id))
  }

  sessions(): Promise<readonly StoredSession[]> {
    const rows = this.#statements.sessions.all() as { value: string }[]
    return Promise.resolve(rows.map(({ value }) => JSON.parse(value) as StoredSession))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    while (this.#flushed !== undefined) await this.#flushed
    if (this.#database.isOpen) this.#database.close()
  }

  #current(key: Key): Versioned | undefined {
    const cached = this.#cache.get(key)
    if (cached !== undefined) return cached
    const row = this.#statements.read.get(key) as { version: number; value: string } | undefined
    if (row === undefined) return undefined
    const found = { version: row.version, record: JSON.parse(row.value) as KeyRecord }
    this.#remember(key, found)
    return found
  }

  #write(key: Key, next: Versioned | undefined): void {
    if (next === undefined) {
      this.#statements.delete.run(key)
      return
    }
    this.#statements.write.run(key, next.version, JSON.stringify(next.record))
    this.#greatestToken = Math.max(this.#greatestToken, next.record.lastToken)
  }

  /** The cache keeps what was used last; a `Map` remembers the order. */
  #remember(key: Key, record: Versioned | undefined): void {
    this.#cache.delete(key)
    if (record === undefined) return
    this.#cache.set(key, record)
    if (this.#cache.size > CACHED_RECORDS) this.#cache.delete(this.#cache.keys().next().value!)
  }

  #change(apply: () => void): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#changes.push({ apply, resolve, reject })
    this.#flushed ??= new Promise((flushed) => {
      setImmediate(() => {
        this.#flushed = undefined
        this.#flush()
        flushed()
      })
    })
    return promise
  }

  /** Writes everything that was changed in this turn, or nothing of it. */
  #flush(): void {
    const changes = this.#changes
    this.#changes = []
    try {
      this.#database.exec('BEGIN IMMEDIATE')
      for (const { apply } of changes) apply()
      this.#statements.writeCounters.run(this.#version, this.#greatestToken)
      this.#database.exec('COMMIT')
    } catch (error) {
      this.#rollBack()
      for (const { reject } of changes) reject(error)
      return
    } finally {
      this.#pending.clear()
    }
    for (const { resolve } of changes) resolve()
  }

  #rollBack(): void {
    if (this.#database.isOpen && this.#database.isTransaction) this.#database.exec('ROLLBACK')
  }
}

function prepare(
  database: DatabaseSync,
): Record<
  | 'read'
  | 'write'
  | 'delete'
  | 'list'
  | 'readCounters'
  | 'writeCounters'
  | 'saveSession'
  | 'deleteSession'
  | 'sessions',
  StatementSync
> {
  return {
    read: database.prepare('SELECT version, value FROM records WHERE key = ?'),
    write: database.prepare('INSERT OR REPLACE INTO records (key, version, value) VALUES (?, ?, ?)'),
    delete: database.prepare('DELETE FROM records WHERE key = ?'),
    // Not LIKE: a prefix is taken as it is. Keys with it lie between itself and itself followed by the last character.
    list: database.prepare(
      `SELECT value FROM records WHERE key > :after AND key >= :prefix AND key <= :prefix || char(0x10FFFF)
       AND substr(key, 1, length(:prefix)) = :prefix ORDER BY key LIMIT :limit`,
    ),
    readCounters: database.prepare('SELECT version, greatest_token AS greatestToken FROM counters'),
    writeCounters: database.prepare('UPDATE counters SET version = ?, greatest_token = ?'),
    saveSession: database.prepare('INSERT OR REPLACE INTO sessions (id, value) VALUES (?, ?)'),
    deleteSession: database.prepare('DELETE FROM sessions WHERE id = ?'),
    sessions: database.prepare('SELECT value FROM sessions'),
  }
}
