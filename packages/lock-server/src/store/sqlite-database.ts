import { existsSync, mkdirSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { StoreError } from './store-error.ts'

/** Marks the file as ours (SQLite's `application_id`): "LLCK". */
const APPLICATION_ID = 0x4c_4c_43_4b
/** The form of the tables. A file of a later form is left alone. */
const SCHEMA_VERSION = 1

const TABLES = `
  CREATE TABLE records (key TEXT PRIMARY KEY, version INTEGER NOT NULL, value TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE sessions (id TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE counters (version INTEGER NOT NULL, greatest_token INTEGER NOT NULL);
  INSERT INTO counters VALUES (0, 0);
  PRAGMA application_id = ${APPLICATION_ID};
  PRAGMA user_version = ${SCHEMA_VERSION};
`

/**
 * Opens the lock server's database, or makes it, for this process alone.
 *
 * @throws {StoreError} saying what is wrong with the file, which is left as it is
 */
export function openDatabase(path: string): DatabaseSync {
  const isNew = !existsSync(path) || statSync(path).size === 0
  let database: DatabaseSync | undefined
  try {
    mkdirSync(dirname(path), { recursive: true })
    database = new DatabaseSync(path)
    if (!isNew) check(database, path)
    // Held from the first write on until the process ends, however it does: two servers on one file cannot be.
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
    database.exec('BEGIN EXCLUSIVE; COMMIT')
    if (isNew) database.exec(`BEGIN; ${TABLES} COMMIT`)
    return database
  } catch (error) {
    database?.close()
    throw error instanceof StoreError ? error : new StoreError(explain(path, error), { cause: error })
  }
}

function check(database: DatabaseSync, path: string): void {
  const id = pragma(database, 'application_id')
  if (id !== APPLICATION_ID) throw new StoreError(`${path} is a database of something else; name another folder`)
  const version = pragma(database, 'user_version')
  if (version !== SCHEMA_VERSION) {
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
