import type { Key } from '@layerlock/protocol'
import type { KeyRecord, SessionRef } from '../core/record.ts'

/** A record with the version that a swap must name. */
export interface Versioned {
  readonly record: KeyRecord
  readonly version: number
}

/** What outlives the process of a session. Its deadline does not: after a restart it gets its full TTL again. */
export interface StoredSession {
  readonly id: string
  readonly ref: SessionRef
  readonly node: string
  readonly endpoint?: string | undefined
  readonly ttlMs: number
  readonly disconnectGraceMs?: number | undefined
  readonly labels: Readonly<Record<string, string>>
  readonly openedMs: number
}

/**
 * Where records and sessions are kept. A store knows no rules: it keeps versioned values.
 *
 * Life cycle: created open, used from many calls at once, closed once. A promise is kept only when it is resolved:
 * what `swap`, `saveSession` and `deleteSession` have resolved is there after a restart, as far as the medium allows.
 * All methods reject when the medium fails; nothing is changed then.
 */
export interface LockStore extends AsyncDisposable {
  /** Why nothing can be changed any more until the store is opened anew; undefined while it can, and where that cannot happen. */
  readonly failure?: Error | undefined
  read(key: Key): Promise<Versioned | undefined>
  /**
   * Replaces a record, or with `undefined` deletes it, if its version is still the expected one (0: there is none).
   * Resolves with whether it was; when not, nothing has changed.
   */
  swap(key: Key, expectedVersion: number, record: KeyRecord | undefined): Promise<boolean>
  /** Records in the order of their keys (by code point, which is that of their UTF-8 bytes), with this prefix, after this key. */
  list(range: { prefix: string; after?: string | undefined; limit: number }): Promise<readonly KeyRecord[]>
  /** The greatest fencing token that any record had, those deleted since included. */
  greatestToken(): Promise<number>
  saveSession(session: StoredSession): Promise<void>
  deleteSession(id: string): Promise<void>
  sessions(): Promise<readonly StoredSession[]>
}
