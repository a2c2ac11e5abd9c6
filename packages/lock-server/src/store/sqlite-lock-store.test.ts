import { chmodSync, readFileSync, statSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { parseKey } from '@layerlock/protocol'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { createRecord, type KeyRecord, type SessionRef } from '../core/record.ts'
import { describeLockStore } from './lock-store.conformance.ts'
import type { LockStore, StoredSession } from './lock-store.ts'
import { SqliteLockStore } from './sqlite-lock-store.ts'
import { StoreError } from './store-error.ts'

const KEY = parseKey('some/key')
const OTHER = parseKey('other')
const OUTCOME = { token: 1, node: 'n', atMs: 0, onCopies: false, audience: [], audienceEndsMs: 0 }
const SESSION: StoredSession = { id: 'x', ref: 'r' as SessionRef, node: 'n', ttlMs: 1, labels: {}, openedMs: 0 }
const folders: string[] = []

async function newPath(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'layerlock-sqlite-'))
  folders.push(folder)
  return join(folder, 'layerlock.db')
}

afterEach(async () => {
  await Promise.all(folders.splice(0).map((folder) => rm(folder, { recursive: true })))
})

const paths = new WeakMap<LockStore, string>()
async function open(path?: string): Promise<LockStore> {
  const file = path ?? (await newPath())
  const store = SqliteLockStore.open(file)
  paths.set(store, file)
  return store
}

describeLockStore('SqliteLockStore', {
  open: () => open(),
  reopen: async (store) => {
    await store[Symbol.asyncDispose]()
    return open(paths.get(store))
  },
  // What cannot be written as JSON rolls back all that is written with it.
  failingSwap: (store, version, record) => {
    const other = parseKey('zz/poison')
    const poison = store.swap(other, 0, { ...createRecord(other), outcome: { ...OUTCOME, value: 1n } })
    return Promise.all([store.swap(record.key, version, record), poison])
  },
})

describe('SqliteLockStore', () => {
  test('has a change on disk before it says so', async () => {
    const path = await newPath()
    await using store = SqliteLockStore.open(path)
    await store.swap(KEY, 0, { ...createRecord(KEY), lastToken: 7 })
    // What a process that was killed at this very moment would leave behind.
    const copy = await newPath()
    await writeFile(copy, await readFile(path))
    await writeFile(`${copy}-wal`, await readFile(`${path}-wal`))
    await using survivor = SqliteLockStore.open(copy)
    expect((await survivor.read(KEY))?.record.lastToken).toBe(7)
    expect(await survivor.greatestToken()).toBe(7)
  })

  test('says that a file is in use, and leaves the other server alone', async () => {
    const path = await newPath()
    await using store = SqliteLockStore.open(path)
    expect(() => SqliteLockStore.open(path)).toThrow(/layerlock\.db is in use by another lock server/)
    expect(await store.swap(KEY, 0, createRecord(KEY))).toBe(true)
  })

  const bad: readonly (readonly [string, (path: string) => Promise<void>, RegExp])[] = [
    ['is no database', (path) => writeFile(path, 'some text '.repeat(200)), /is no database/],
    [
      'is the database of something else',
      (path) => {
        const other = new DatabaseSync(path)
        other.exec('CREATE TABLE mine (x)')
        other.close()
        return Promise.resolve()
      },
      /is a database of something else/,
    ],
    [
      'is of a later form',
      async (path) => {
        await SqliteLockStore.open(path)[Symbol.asyncDispose]()
        const later = new DatabaseSync(path)
        later.exec('PRAGMA user_version = 99')
        later.close()
      },
      /is of form 99/,
    ],
  ]
  for (const [what, damage, message] of bad) {
    test(`refuses a file that ${what}, and leaves it as it is`, async () => {
      const path = await newPath()
      await damage(path)
      const before = await readFile(path)
      expect(() => SqliteLockStore.open(path)).toThrow(StoreError)
      expect(() => SqliteLockStore.open(path)).toThrow(message)
      expect(await readFile(path)).toEqual(before)
    })
  }

  test('refuses what is no file, and says so', async () => {
    const path = await newPath()
    await mkdir(path)
    expect(() => SqliteLockStore.open(path)).toThrow(StoreError)
    expect(() => SqliteLockStore.open(path)).toThrow(/layerlock\.db is a folder, the database should be there; move it/)
  })

  test('makes folder, database and log for its user alone', async () => {
    const modeOf = (path: string) => statSync(path).mode & 0o777
    const folder = dirname(await newPath())
    const path = join(folder, 'data', 'layerlock.db')
    const before = process.umask(0)
    try {
      await using store = SqliteLockStore.open(path)
      await store.saveSession(SESSION)
      expect([dirname(path), path, `${path}-wal`].map(modeOf)).toEqual([0o700, 0o600, 0o600])
    } finally {
      process.umask(before)
    }
    chmodSync(folder, 0o750)
    await using store = SqliteLockStore.open(join(folder, 'layerlock.db'))
    await store.saveSession(SESSION)
    expect(modeOf(folder)).toBe(0o750)
  })

  test('brings a file of the first form to the present one, with all that is in it', async () => {
    const path = await newPath()
    const old = new DatabaseSync(path)
    const session = 's' as SessionRef
    const wish = { session, ignoreOutcome: false, unlessReferenced: false, sinceMs: 1 }
    const record: KeyRecord = {
      ...createRecord(KEY),
      lastToken: 41,
      holds: [{ ticket: 't1', session, token: 41, attempt: 1, sinceMs: 1 }],
      queue: Array.from({ length: 12 }, (_, index) => ({ ...wish, ticket: `q${index}` })),
      ended: Array.from({ length: 11 }, (_, index) => ({ ticket: `e${index}`, session, how: 'failed', untilMs: 9 })),
      copies: [session, 'r' as SessionRef],
    }
    old.exec(`
      CREATE TABLE records (key TEXT PRIMARY KEY, version INTEGER NOT NULL, value TEXT NOT NULL) WITHOUT ROWID;
      CREATE TABLE sessions (id TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
      CREATE TABLE counters (version INTEGER NOT NULL, greatest_token INTEGER NOT NULL);
      INSERT INTO counters VALUES (7, 41);
      PRAGMA application_id = 0x4c4c434b; PRAGMA user_version = 1`)
    old.prepare('INSERT INTO records VALUES (?, 7, ?)').run(KEY, JSON.stringify(record))
    old.close()
    await using store = SqliteLockStore.open(path)
    expect(await store.read(KEY)).toEqual({ version: 7, record })
    expect(await store.greatestToken()).toBe(41)
    expect(await store.swap(KEY, 7, { ...record, queue: record.queue.slice(1) })).toBe(true)
  })

  test('gives back the space of what is forgotten, so that the file does not grow for ever', async () => {
    const path = await newPath()
    await using store = SqliteLockStore.open(path, { tidyEvery: 50 })
    const value = 'x'.repeat(4_000)
    const fill = async (round: number) => {
      const keys = Array.from({ length: 2_500 }, (_, index) => parseKey(`${round}/${index}`))
      const outcome = { token: 1, node: 'n', atMs: 0, onCopies: false, audience: [], audienceEndsMs: 0, value }
      await Promise.all(keys.map((key) => store.swap(key, 0, { ...createRecord(key), outcome })))
      const versions = await Promise.all(keys.map((key) => store.read(key)))
      await Promise.all(keys.map((key, index) => store.swap(key, versions[index]!.version, undefined)))
    }
    const pages = () => {
      return readFileSync(path).readUInt32BE(28)
    }
    await fill(0)
    await fill(1)
    const full = pages()
    expect(full).toBeGreaterThan(2_500)
    // What the log holds reaches the file with the next checkpoint.
    for (let count = 0; count < 2_200; count++) await store.saveSession({ ...SESSION, openedMs: count })
    await fill(2)
    for (let count = 0; count < 2_200; count++) await store.saveSession({ ...SESSION, openedMs: count })
    expect(pages()).toBeLessThan(full / 2)
  })

  test('keeps its rows in order when lists that were turned round could not be written, and then were', async () => {
    const path = await newPath()
    const store = SqliteLockStore.open(path)
    const session = 's' as SessionRef
    const wish = { session, ignoreOutcome: false, unlessReferenced: false, sinceMs: 1 }
    const record: KeyRecord = {
      ...createRecord(KEY),
      queue: ['a', 'b', 'c'].map((ticket) => ({ ...wish, ticket })),
      ended: ['x', 'y', 'z'].map((ticket) => ({ ticket, session, how: 'failed', untilMs: 9 })),
    }
    await store.swap(KEY, 0, record)
    const turned = { ...record, queue: record.queue.toReversed(), ended: record.ended.toReversed() }
    const { version } = (await store.read(KEY))!
    const poison = { ...createRecord(OTHER), outcome: { ...OUTCOME, value: 1n } }
    const failed = await Promise.allSettled([store.swap(KEY, version, turned), store.swap(OTHER, 0, poison)])
    expect(failed.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    await store.swap(KEY, version, { ...turned, lastToken: 1 })
    await store.swap(OTHER, 0, { ...createRecord(OTHER), ended: record.ended.map((end) => ({ ...end })) })
    await store[Symbol.asyncDispose]()
    await using again = SqliteLockStore.open(path)
    expect((await again.read(KEY))?.record).toEqual({ ...turned, lastToken: 1 })
    expect((await again.read(OTHER))?.record.ended).toEqual(record.ended)
  })

  test('goes on when space cannot be given back, and gives it back later', async () => {
    const path = await newPath()
    await using store = SqliteLockStore.open(path, { tidyEvery: 1 })
    const broken = vi.spyOn(DatabaseSync.prototype, 'exec').mockImplementation((sql) => {
      if (sql === 'COMMIT') throw new Error('the disk is full')
    })
    await store.saveSession(SESSION)
    await store.saveSession({ ...SESSION, id: 'y' })
    expect(broken).toHaveBeenCalledWith('COMMIT')
    broken.mockRestore()
    await store.saveSession({ ...SESSION, id: 'z' })
    expect(await store.sessions()).toHaveLength(3)
  })

  test('refuses a change that comes after the end, and does no other harm', async () => {
    const store = SqliteLockStore.open(await newPath())
    await store.swap(KEY, 0, createRecord(KEY))
    const { version } = (await store.read(KEY))!
    await store[Symbol.asyncDispose]()
    const late = [store.swap(KEY, version, { ...createRecord(KEY), lastToken: 7 }), store.deleteSession('s')]
    const results = await Promise.allSettled(late)
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    await store[Symbol.asyncDispose]()
  })

  test('refuses all changes of a turn when one of them cannot be written', async () => {
    const path = await newPath()
    await using store = SqliteLockStore.open(path)
    const circular: { self?: unknown } = {}
    circular.self = circular
    const outcome = { token: 1, node: 'n', atMs: 0, onCopies: false, audience: [], audienceEndsMs: 0, value: circular }
    const other = parseKey('other')
    const results = await Promise.allSettled([
      store.swap(other, 0, createRecord(other)),
      store.swap(KEY, 0, { ...createRecord(KEY), outcome }),
    ])
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    expect(await store.read(other)).toBeUndefined()
    expect(await store.swap(other, 0, createRecord(other))).toBe(true)
  })
})
