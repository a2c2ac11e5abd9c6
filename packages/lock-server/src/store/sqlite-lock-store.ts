import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Key } from '@layerlock/protocol'
import type { KeyRecord } from '../core/record.ts'
import { CommitQueue } from './commit-queue.ts'
import type { LockStore, StoredSession, Versioned } from './lock-store.ts'
import { LOG_BYTES, openDatabase } from './sqlite-database.ts'
import { RecordCache } from './record-cache.ts'
import { SqliteRecords } from './sqlite-records.ts'
import { StoreError } from './store-error.ts'
import { WalFile } from './wal-file.ts'

/** How many unused pages may stay in the file, and how many are given back at a time: it takes a few milliseconds. */
const SPARE_PAGES = 1_024

export interface SqliteLockStoreOptions {
  /** After how many transactions it is looked whether there is space to give back. Default 4,096. */
  readonly tidyEvery?: number | undefined
}

/** A change of a record that is on its way. */
interface Pending {
  readonly before: Versioned | undefined
  readonly next: Versioned | undefined
  /** How long the record is as it is written. */
  chars: number
}

const NOTHING = () => undefined

/** Keeps everything in one SQLite file; see {@link CommitQueue} for when a change is on disk. */
export class SqliteLockStore implements LockStore {
  readonly #database: DatabaseSync
  readonly #tidyEvery: number
  readonly #records: SqliteRecords
  readonly #commits: CommitQueue
  readonly #statements: ReturnType<typeof prepare>
  readonly #cache = new RecordCache()
  readonly #log: WalFile
  /** What is on its way to the disk, by key. A swap compares with it, but it is not read before it is there. */
  readonly #pending = new Map<Key, Pending>()
  #version: number
  #greatestToken: number
  #transactions = 0
  /** Whether a record goes with the next transaction, and with it what it knew of tokens and versions. */
  #forgets = false

  private constructor(database: DatabaseSync, log: WalFile, { tidyEvery = 4_096 }: SqliteLockStoreOptions) {
    this.#tidyEvery = tidyEvery
    this.#database = database
    this.#records = new SqliteRecords(database)
    this.#statements = prepare(database)
    const counters = this.#statements.readCounters.get() as { version: number; greatestToken: number }
    this.#version = counters.version
    this.#greatestToken = counters.greatestToken
    this.#log = log
    this.#commits = new CommitQueue({
      database,
      log,
      beforeCommit: () => this.#keepCounters(),
      afterCommit: (committed) => this.#committed(committed),
    })
  }

  /** Opens the file, or makes it. @throws {StoreError} when it cannot be opened, is in use, or is not ours */
  static open(path: string, options: SqliteLockStoreOptions = {}): SqliteLockStore {
    const database = openDatabase(path)
    const log = new WalFile(path)
    try {
      log.preallocate(LOG_BYTES)
      return new SqliteLockStore(database, log, options)
    } catch (error) {
      log[Symbol.dispose]()
      database.close()
      throw new StoreError(`${path} cannot be used: ${(error as Error).message}`, { cause: error })
    }
  }

  get failure(): Error | undefined {
    return this.#commits.failure
  }

  async read(key: Key): Promise<Versioned | undefined> {
    this.#checkFailure()
    const pending = this.#pending.get(key)
    return pending === undefined ? this.#current(key) : pending.before
  }

  async swap(key: Key, expectedVersion: number, record: KeyRecord | undefined): Promise<boolean> {
    const before = this.#pending.has(key) ? this.#pending.get(key)?.next : this.#current(key)
    if ((before?.version ?? 0) !== expectedVersion) return false
    const next = record === undefined ? undefined : { record, version: ++this.#version }
    const pending: Pending = { before, next, chars: 0 }
    this.#pending.set(key, pending)
    if (record === undefined) this.#forgets = true
    else this.#greatestToken = Math.max(this.#greatestToken, record.lastToken)
    await this.#commits.add({
      apply: () => {
        pending.chars = this.#records.write(key, before?.record, next)
      },
      ended: (durable) => this.#ended(key, pending, durable),
    })
    return true
  }

  async list({ prefix, after = '', limit }: { prefix: string; after?: string | undefined; limit: number }) {
    this.#checkFailure()
    return this.#records.list({ prefix, after, limit })
  }

  greatestToken(): Promise<number> {
    return Promise.resolve(this.#greatestToken)
  }

  async saveSession(session: StoredSession): Promise<void> {
    const value = JSON.stringify(session)
    await this.#commits.add({ apply: () => this.#statements.saveSession.run(session.id, value), ended: NOTHING })
  }

  async deleteSession(id: string): Promise<void> {
    await this.#commits.add({ apply: () => this.#statements.deleteSession.run(id), ended: NOTHING })
  }

  sessions(): Promise<readonly StoredSession[]> {
    const rows = this.#statements.sessions.all() as { value: string }[]
    return Promise.resolve(rows.map(({ value }) => JSON.parse(value) as StoredSession))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#commits.idle()
    this.#log[Symbol.dispose]()
    if (this.#database.isOpen) this.#database.close()
  }

  /** What a sync that failed has left behind may be on disk or not: nobody may build on it. */
  #checkFailure(): void {
    if (this.failure !== undefined) throw this.failure
  }

  #current(key: Key): Versioned | undefined {
    const cached = this.#cache.get(key)
    if (cached !== undefined) return cached
    const found = this.#records.read(key)
    if (found === undefined) return undefined
    const { chars, ...versioned } = found
    this.#cache.set(key, versioned, chars)
    return versioned
  }

  #ended(key: Key, pending: Pending, durable: boolean): void {
    if (this.#pending.get(key) === pending) this.#pending.delete(key)
    if (!durable) return
    if (pending.next === undefined) this.#cache.delete(key)
    else this.#cache.set(key, pending.next, pending.chars)
    this.#records.durable(key, pending.next?.record)
  }

  #committed(committed: boolean): void {
    this.#records.end(committed)
    if (committed && ++this.#transactions % this.#tidyEvery === 0) this.#giveBackSpace()
  }

  /** The greatest token and version are those of the records, which say so themselves, but for those that are gone. */
  #keepCounters(): void {
    if (this.#forgets) this.#statements.writeCounters.run(this.#version, this.#greatestToken)
    this.#forgets = false
  }

  /** What of it does not work out now is tried again later: nothing depends on it. */
  #giveBackSpace(): void {
    try {
      this.#database.exec('BEGIN')
      const tidied = this.#records.tidy()
      this.#database.exec('COMMIT')
      tidied()
      const { freelist_count: free } = this.#statements.freePages.get() as { freelist_count: number }
      if (free > SPARE_PAGES) this.#database.exec(`PRAGMA incremental_vacuum(${free - SPARE_PAGES})`)
    } catch {
      if (this.#database.isOpen && this.#database.isTransaction) this.#database.exec('ROLLBACK')
    }
  }
}

type StatementName = 'readCounters' | 'writeCounters' | 'saveSession' | 'deleteSession' | 'sessions' | 'freePages'

function prepare(database: DatabaseSync): Record<StatementName, StatementSync> {
  return {
    readCounters: database.prepare(`SELECT max(version, (SELECT coalesce(max(version), 0) FROM records)) AS version,
       max(greatest_token, (SELECT coalesce(max(token), 0) FROM records)) AS greatestToken FROM counters`),
    writeCounters: database.prepare('UPDATE counters SET version = ?, greatest_token = ?'),
    saveSession: database.prepare('INSERT OR REPLACE INTO sessions (id, value) VALUES (?, ?)'),
    deleteSession: database.prepare('DELETE FROM sessions WHERE id = ?'),
    sessions: database.prepare('SELECT value FROM sessions'),
    freePages: database.prepare('PRAGMA freelist_count'),
  }
}
