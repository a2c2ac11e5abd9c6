import type { Key } from '@layerlock/protocol'
import type { KeyRecord } from '../core/record.ts'
import type { LockStore, StoredSession, Versioned } from './lock-store.ts'
import { SortedKeys } from './sorted-keys.ts'

/** Keeps everything in this process; a restart forgets it, but for the tokens, which go on with the wall clock. */
export class MemoryLockStore implements LockStore {
  readonly #records = new Map<Key, Versioned>()
  readonly #keys = new SortedKeys()
  readonly #sessions = new Map<string, StoredSession>()
  #greatestToken = 0
  /** Grows over all keys, so that a key that was deleted and made again never repeats a version. */
  #version = 0

  read(key: Key): Promise<Versioned | undefined> {
    return Promise.resolve(this.#records.get(key))
  }

  swap(key: Key, expectedVersion: number, record: KeyRecord | undefined): Promise<boolean> {
    if ((this.#records.get(key)?.version ?? 0) !== expectedVersion) return Promise.resolve(false)
    if (record === undefined) {
      if (this.#records.delete(key)) this.#keys.remove(key)
    } else {
      if (expectedVersion === 0) this.#keys.add(key)
      this.#records.set(key, { record, version: ++this.#version })
      this.#greatestToken = Math.max(this.#greatestToken, record.lastToken)
    }
    return Promise.resolve(true)
  }

  list({ prefix, after, limit }: { prefix: string; after?: string | undefined; limit: number }) {
    const page = this.#keys.page(prefix, after, limit)
    return Promise.resolve(page.map((key) => this.#records.get(key)!.record))
  }

  greatestToken(): Promise<number> {
    return Promise.resolve(this.#greatestToken)
  }

  saveSession(session: StoredSession): Promise<void> {
    this.#sessions.set(session.id, session)
    return Promise.resolve()
  }

  deleteSession(id: string): Promise<void> {
    this.#sessions.delete(id)
    return Promise.resolve()
  }

  sessions(): Promise<readonly StoredSession[]> {
    return Promise.resolve([...this.#sessions.values()])
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve()
  }
}
