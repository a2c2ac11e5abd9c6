import { type Key, parseKey } from '@layerlock/protocol'
import { describe, expect, test } from 'vitest'
import { createRecord, type KeyRecord, type SessionRef } from '../core/record.ts'
import type { LockStore, StoredSession } from './lock-store.ts'
import { testRecordLists } from './record-lists.conformance.ts'

export interface ConformanceOptions {
  /** Opens a store with nothing in it. */
  readonly open: () => Promise<LockStore>
  /** Opens what another store has left behind; absent for stores that forget everything with their process. */
  readonly reopen?: (store: LockStore) => Promise<LockStore>
  /** Tries a swap that the medium refuses, for stores that have one. */
  readonly failingSwap?: (store: LockStore, version: number, record: KeyRecord) => Promise<unknown>
}

const KEY = parseKey('some/key')

/** A record with a bit of everything, so that nothing of it can get lost on the way. */
function fullRecord(key: Key, lastToken: number): KeyRecord {
  const session = 'session-ref' as SessionRef
  const error = { code: 'broken', message: 'päng "quoted" \\ \n' }
  return {
    key,
    limit: 3,
    lastToken,
    holds: [{ ticket: 't1', session, token: lastToken, attempt: 2, lastError: error, sinceMs: 1.5, maxHoldMs: 7 }],
    queue: [{ ticket: 't2', session, ignoreOutcome: true, unlessReferenced: false, sinceMs: 2.25, group: 'g' }],
    outcome: {
      token: lastToken - 1,
      value: { nested: [1, null, 'ü', { deep: true }], text: '\u{1F512}' },
      node: 'node-a',
      atMs: 1,
      endsMs: 9,
      onCopies: true,
      audience: ['t3'],
      audienceEndsMs: 12,
    },
    copies: [session],
    streak: { count: 1, error, failures: [{ count: 1 }, { group: 'g', count: 2 }], endsMs: 10 },
    refusals: [{ error, attempts: 3, group: 'g', endsMs: 11 }],
    pausedUntilMs: 13,
    ended: [{ ticket: 't0', session, token: 4, how: 'failed', untilMs: 14 }],
  }
}

function storedSession(id: string): StoredSession {
  const ref = `ref-${id}` as SessionRef
  const session = { id, ref, node: 'node-a', endpoint: 'http://a:1', ttlMs: 15_000, disconnectGraceMs: 0 }
  return { ...session, labels: { zone: 'ä"\'' }, openedMs: 1_700_000_000_000.25 }
}

/** What every store promises; see {@link LockStore}. */
export function describeLockStore(name: string, { open, reopen, failingSwap }: ConformanceOptions): void {
  // eslint-disable-next-line vitest/valid-title -- the name of the driver
  describe(name, () => {
    test('read() knows nothing of a key that was never written', async () => {
      await using store = await open()
      expect(await store.read(KEY)).toBeUndefined()
      expect(await store.greatestToken()).toBe(0)
      expect(await store.sessions()).toEqual([])
    })

    test('read() gives back exactly what swap() took', async () => {
      await using store = await open()
      const record = fullRecord(KEY, Number.MAX_SAFE_INTEGER)
      expect(await store.swap(KEY, 0, record)).toBe(true)
      expect((await store.read(KEY))?.record).toEqual(record)
    })

    test('swap() replaces a record whose version is the expected one', async () => {
      await using store = await open()
      await store.swap(KEY, 0, createRecord(KEY))
      const before = await store.read(KEY)
      expect(await store.swap(KEY, before!.version, fullRecord(KEY, 5))).toBe(true)
      const after = await store.read(KEY)
      expect(after?.record.lastToken).toBe(5)
      expect(after?.version).not.toBe(before!.version)
    })

    test('swap() changes nothing when the version is another one', async () => {
      await using store = await open()
      await store.swap(KEY, 0, fullRecord(KEY, 5))
      const before = await store.read(KEY)
      for (const version of [0, before!.version + 1]) {
        expect(await store.swap(KEY, version, fullRecord(KEY, 9))).toBe(false)
        expect(await store.swap(KEY, version, undefined)).toBe(false)
      }
      expect(await store.read(KEY)).toEqual(before)
      expect(await store.greatestToken()).toBe(5)
    })

    test('swap() makes nothing of a key that is not there when a version is expected', async () => {
      await using store = await open()
      expect(await store.swap(KEY, 7, fullRecord(KEY, 5))).toBe(false)
      expect(await store.read(KEY)).toBeUndefined()
    })

    test('swap() deletes a record, and a later one never repeats its version', async () => {
      await using store = await open()
      await store.swap(KEY, 0, fullRecord(KEY, 5))
      const { version } = (await store.read(KEY))!
      expect(await store.swap(KEY, version, undefined)).toBe(true)
      expect(await store.read(KEY)).toBeUndefined()
      expect(await store.swap(KEY, version, fullRecord(KEY, 6))).toBe(false)
      await store.swap(KEY, 0, fullRecord(KEY, 6))
      expect((await store.read(KEY))?.version).not.toBe(version)
    })

    testRecordLists(open, reopen, failingSwap)

    test('swap() lets exactly one of many that come at once win', async () => {
      await using store = await open()
      const tokens = Array.from({ length: 20 }, (_, index) => index + 1)
      const won = await Promise.all(tokens.map((token) => store.swap(KEY, 0, fullRecord(KEY, token))))
      expect(won.filter(Boolean)).toHaveLength(1)
      expect((await store.read(KEY))?.record.lastToken).toBe(tokens[won.indexOf(true)])
    })

    test('list() pages through the records with a prefix, in the order of their keys by code point', async () => {
      await using store = await open()
      const last = '\u{10FFFF}'
      const names = ['b/2', 'b/10', 'a/1', 'b/', 'b', 'B/1', 'b/\u{1F512}', 'b/\uFFFD', 'c/1', `b/${last}x`, `${last}y`]
      const keys = [...names, 'b\uD7FF'].map(parseKey)
      for (const key of keys) await store.swap(key, 0, createRecord(key))
      const all = ['b/', 'b/10', 'b/2', 'b/\uFFFD', 'b/\u{1F512}', `b/${last}x`]
      const first = await store.list({ prefix: 'b/', limit: 3 })
      expect(first.map((record) => record.key)).toEqual(all.slice(0, 3))
      const rest = await store.list({ prefix: 'b/', after: 'b/2', limit: 10 })
      expect(rest.map((record) => record.key)).toEqual(all.slice(3))
      expect(await store.list({ prefix: 'b/', after: all.at(-1), limit: 10 })).toEqual([])
      expect(await store.list({ prefix: '', limit: 100 })).toHaveLength(keys.length)
      expect(await store.list({ prefix: last, limit: 100 })).toMatchObject([{ key: `${last}y` }])
      expect(await store.list({ prefix: 'b\uD7FF', limit: 100 })).toMatchObject([{ key: 'b\uD7FF' }])
    })

    test('list() takes a prefix as it is, with no wildcards', async () => {
      await using store = await open()
      for (const text of ['a%b', 'a_b', 'a*b', 'axb', 'a[b', 'a?b']) {
        const key = parseKey(text)
        await store.swap(key, 0, createRecord(key))
      }
      for (const prefix of ['a%', 'a_', 'a*', 'a[', 'a?']) {
        const found = await store.list({ prefix, limit: 10 })
        expect(found.map((record) => record.key)).toEqual([`${prefix}b`])
      }
    })

    test('greatestToken() is the greatest of all records, also of those that were deleted', async () => {
      await using store = await open()
      const other = parseKey('other')
      await store.swap(KEY, 0, fullRecord(KEY, 8))
      await store.swap(other, 0, fullRecord(other, 1_764_000_000_000_000))
      await store.swap(other, (await store.read(other))!.version, undefined)
      expect(await store.greatestToken()).toBe(1_764_000_000_000_000)
    })

    test('sessions() gives back exactly those that were saved and not deleted', async () => {
      await using store = await open()
      const bare: StoredSession = { id: 'x', ref: 'r' as SessionRef, node: 'n', ttlMs: 1, labels: {}, openedMs: 0 }
      for (const session of [storedSession('one'), storedSession('two'), bare]) await store.saveSession(session)
      await store.deleteSession('two')
      await store.deleteSession('never-was')
      const found = await store.sessions()
      expect(found.toSorted((a, b) => (a.id < b.id ? -1 : 1))).toEqual([storedSession('one'), bare])
    })

    test('saveSession() replaces the session with this id', async () => {
      await using store = await open()
      await store.saveSession(storedSession('one'))
      await store.saveSession({ ...storedSession('one'), node: 'renamed' })
      expect(await store.sessions()).toEqual([{ ...storedSession('one'), node: 'renamed' }])
    })

    test.skipIf(reopen === undefined)('all of it is there when the store is opened again', async () => {
      const before = await open()
      await before.swap(KEY, 0, fullRecord(KEY, 5))
      const gone = parseKey('gone')
      await before.swap(gone, 0, fullRecord(gone, 99))
      await before.swap(gone, (await before.read(gone))!.version, undefined)
      await before.saveSession(storedSession('one'))
      const versioned = await before.read(KEY)
      await before[Symbol.asyncDispose]()
      await using after = await reopen!(before)
      expect(await after.read(KEY)).toEqual(versioned)
      expect(await after.read(gone)).toBeUndefined()
      expect(await after.greatestToken()).toBe(99)
      expect(await after.sessions()).toEqual([storedSession('one')])
    })
  })
}
