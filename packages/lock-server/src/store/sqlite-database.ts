import { closeSync, existsSync, mkdirSync, openSync, rmSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { StoreError } from './store-error.ts'

/** How many pages the log takes until they go to the database: the same few pages change again and again. */
const CHECKPOINT_PAGES = 2_000
/** How long the log is then: a header, and each page with a header of its own (sqlite.org/fileformat2.html, 4.1). */
export const LOG_BYTES = 32 + CHECKPOINT_PAGES * (24 + 4_096)
/** Marks the file as ours (SQLite's `application_id`): "LLCK". */
const APPLICATION_ID = 0x4c_4c_43_4b
/** The form of the tables. A file of a later form is left alone, one of an earlier form is brought to this one. */
const SCHEMA_VERSION = 2

/** The lists of a record are in tables of their own, an entry a row, so that a long list is not written as a whole. */
const LIST_TABLES = `
  CREATE TABLE waiters (key TEXT NOT NULL, id INTEGER NOT NULL, value TEXT NOT NULL, PRIMARY KEY (key, id)) WITHOUT ROWID;
  CREATE TABLE ended (slot INTEGER PRIMARY KEY, seq INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL);
  CREATE TABLE copies (
    key TEXT NOT NULL, session TEXT NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (key, session)
  ) WITHOUT ROWID;
`

const TABLES = `
  CREATE TABLE records (
    key TEXT PRIMARY KEY, version INTEGER NOT NULL, token INTEGER NOT NULL, ended INTEGER NOT NULL,
    value TEXT NOT NULL
  ) WITHOUT ROWID;
  CREATE TABLE sessions (id TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE counters (version INTEGER NOT NULL, greatest_token INTEGER NOT NULL);
  INSERT INTO counters VALUES (0, 0);
  ${LIST_TABLES}
`

/** Form 1 had the lists inside of the records. */
const UPGRADE_FROM_1 = `
  ${LIST_TABLES}
  INSERT INTO waiters SELECT records.key, row_number() OVER (ORDER BY records.key, entry.key), entry.value
    FROM records, json_each(records.value, '$.queue') AS entry;
  INSERT INTO ended SELECT row_number() OVER place, row_number() OVER place, records.key, entry.value
    FROM records, json_each(records.value, '$.ended') AS entry
    WINDOW place AS (ORDER BY records.key, entry.key);
  INSERT INTO copies SELECT records.key, entry.value, entry.key + 1
    FROM records, json_each(records.value, '$.copies') AS entry;
  ALTER TABLE records ADD COLUMN token INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE records ADD COLUMN ended INTEGER NOT NULL DEFAULT 0;
  UPDATE records SET
    token = json_extract(value, '$.lastToken'),
    ended = json_array_length(value, '$.ended'),
    value = json_remove(value, '$.queue', '$.ended', '$.copies');
`

const MARKS = `PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${SCHEMA_VERSION};`

/**
 * Opens the lock server's database, or makes it, for this process alone.
 *
 * @throws {StoreError} saying what is wrong with the file, which is left as it is
 */
export function openDatabase(path: string): DatabaseSync {
  let database: DatabaseSync | undefined
  try {
    const found = statSync(path, { throwIfNoEntry: false })
    if (found?.isFile() === false) {
      const kind = found.isDirectory() ? 'a folder' : 'no regular file'
      throw new StoreError(`${path} is ${kind}, the database should be there; move it away, or name another folder`)
    }
    const isNew = found === undefined || found.size === 0
    if (found === undefined) createPrivately(path)
    if (!isNew) checkFile(path)
    database = new DatabaseSync(path)
    // Takes effect where nothing was written yet.
    if (isNew) database.exec('PRAGMA auto_vacuum = INCREMENTAL')
    // Each transaction is synced by CommitQueue; SQLite syncs at checkpoints.
    // Held from the first write on until the process ends, however it does: two servers on one file cannot be.
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL')
    database.exec(
      `PRAGMA cache_size = -32768; PRAGMA journal_size_limit = ${2 * LOG_BYTES}; PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`,
    )
    database.exec('BEGIN EXCLUSIVE; COMMIT')
    if (isNew) database.exec(`BEGIN; ${TABLES} ${MARKS} COMMIT`)
    else if (pragma(database, 'user_version') === 1) upgrade(database)
    return database
  } catch (error) {
    database?.close()
    throw error instanceof StoreError ? error : new StoreError(explain(path, error), { cause: error })
  }
}

/**
 * Makes the file, and its folder where there is none, for this user alone: the ids of sessions are in it, and who has one
 * can act for its session. SQLite gives its log the permissions of the database (`findCreateFileMode` in os_unix.c).
 */
function createPrivately(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch {
    // SQLite meets the same obstacle, and is asked why.
  }
}

function upgrade(database: DatabaseSync): void {
  database.exec(`BEGIN; ${UPGRADE_FROM_1} ${MARKS} COMMIT`)
  database.exec('PRAGMA auto_vacuum = INCREMENTAL; VACUUM')
}

/** Looks without writing: merely to close a database writes what is in its log to it, and removes the log. */
function checkFile(path: string): void {
  const besides = ['-wal', '-shm'].map((suffix) => path + suffix).filter((file) => !existsSync(file))
  const database = new DatabaseSync(path, { readOnly: true })
  try {
    check(database, path)
  } finally {
    database.close()
    // Who only reads makes them as well, and does not remove them.
    for (const file of besides) rmSync(file, { force: true })
  }
}

function check(database: DatabaseSync, path: string): void {
  const id = pragma(database, 'application_id')
  if (id !== APPLICATION_ID) throw new StoreError(`${path} is a database of something else; name another folder`)
  const version = pragma(database, 'user_version')
  if (version !== SCHEMA_VERSION && version !== 1) {
    throw new StoreError(`${path} is of form ${String(version)}, this server knows ${SCHEMA_VERSION}; use a newer one`)
  }
  const damage = database.prepare('PRAGMA quick_check(1)').get() as { quick_check: string }
  if (damage.quick_check !== 'ok')
    throw new StoreError(`${path} is damaged (${damage.quick_check}); restore or remove it`)
}

function pragma(database: DatabaseSync, name: string): unknown {
  return (database.prepare(`PRAGMA ${name}`).get() as Record<string, unknown>)[name]
}

/** SQLite's primary result codes that users meet (sqlite.org/rescode.html). */
const REASONS: Readonly<Record<number, string>> = {
  5: 'is in use by another lock server',
  8: 'cannot be written',
  10: 'cannot be read or written: the disk is full or broken',
  11: 'is damaged; restore or remove it',
  13: 'cannot be written: the disk is full',
  14: 'cannot be opened: no permission, or no such folder',
  26: 'is no database; name another folder',
}

function explain(path: string, error: unknown): string {
  const { errcode, message } = error as { errcode?: number; message?: string }
  const reason = REASONS[(errcode ?? 0) & 0xff]
  return `${path} ${reason ?? `cannot be used: ${message ?? String(error)}`}`
}
