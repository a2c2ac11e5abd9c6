import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Key } from '@layerlock/protocol'
import type { KeyRecord } from '../core/record.ts'
import { CommitQueue } from './commit-queue.ts'
import type { LockStore, StoredSession, Versioned } from './lock-store.ts'
import { LOG_BYTES, openDatabase } from './sqlite-database.ts'
import { SqliteRecords } from './sqlite-records.ts'
import { WalFile } from './wal-file.ts'

/** How many committed records are kept in memory, so that busy keys are not read and parsed at each call. */
const CACHED_RECORDS = 10_000
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
}

const NOTHING = () => undefined

/** Keeps everything in one SQLite file; see {@link CommitQueue} for when a change is on disk. */
export class SqliteLockStore implements LockStore {
  readonly #database: DatabaseSync
  readonly #tidyEvery: number
  readonly #records: SqliteRecords
  readonly #commits: CommitQueue
  readonly #statements: ReturnType<typeof prepare>
  readonly #cache = new Map<Key, Versioned>()
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
    log.preallocate(LOG_BYTES)
    return new SqliteLockStore(database, log, options)
  }

  read(key: Key): Promise<Versioned | undefined> {
    const pending = this.#pending.get(key)
    return Promise.resolve(pending === undefined ? this.#current(key) : pending.before)
  }

  async swap(key: Key, expectedVersion: number, record: KeyRecord | undefined): Promise<boolean> {
    const before = this.#pending.has(key) ? this.#pending.get(key)?.next : this.#current(key)
    if ((before?.version ?? 0) !== expectedVersion) return false
    const pending = { before, next: record === undefined ? undefined : { record, version: ++this.#version } }
    this.#pending.set(key, pending)
    if (record === undefined) this.#forgets = true
    else this.#greatestToken = Math.max(this.#greatestToken, record.lastToken)
    await this.#commits.add({
      apply: () => this.#records.write(key, before?.record, pending.next),
      ended: (durable) => this.#ended(key, pending, durable),
    })
    return true
  }

  list({ prefix, after = '', limit }: { prefix: string; after?: string | undefined; limit: number }) {
    return Promise.resolve(this.#records.list({ prefix, after, limit }))
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

  #current(key: Key): Versioned | undefined {
    const cached = this.#cache.get(key)
    if (cached !== undefined) return cached
    const found = this.#records.read(key)
    if (found !== undefined) this.#remember(key, found)
    return found
  }

  /** The cache keeps what was used last; a `Map` remembers the order. */
  #remember(key: Key, record: Versioned | undefined): void {
    this.#cache.delete(key)
    if (record === undefined) return
    this.#cache.set(key, record)
    if (this.#cache.size > CACHED_RECORDS) this.#cache.delete(this.#cache.keys().next().value!)
  }

  #ended(key: Key, pending: Pending, durable: boolean): void {
    if (this.#pending.get(key) === pending) this.#pending.delete(key)
    if (!durable) return
    this.#remember(key, pending.next)
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

  #giveBackSpace(): void {
    this.#database.exec('BEGIN')
    this.#records.tidy()
    this.#database.exec('COMMIT')
    const { freelist_count: free } = this.#statements.freePages.get() as { freelist_count: number }
    if (free > SPARE_PAGES) this.#database.exec(`PRAGMA incremental_vacuum(${free - SPARE_PAGES})`)
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
