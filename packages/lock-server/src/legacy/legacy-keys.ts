import { randomUUID } from 'node:crypto'
import { type Key, parseKey } from '@layerlock/protocol'
import type { AcquireCommand } from '../core/acquire.ts'
import type { KeyRecord, SessionRef } from '../core/record.ts'
import type { LockStore } from '../store/lock-store.ts'
import { LEGACY_TYPES, type LegacyType } from './legacy-wish.ts'

const LOCK_PREFIX = 'legacy/'
const REFERENCE_PREFIX = 'legacy-ref/'
const PAGE_RECORDS = 1_000

/** The key that all operations on a resource share, so that they exclude each other. */
export function lockKey(resource: string): Key {
  return parseKey(LOCK_PREFIX + resource)
}

/** The resource behind such a key; undefined for any other key. */
export function resourceOf(key: string): string | undefined {
  return key.startsWith(LOCK_PREFIX) ? key.slice(LOCK_PREFIX.length) : undefined
}

/**
 * The key whose copies are the nodes that reference the resource. It is one of its own since references outlive the
 * outcome of the pull, and who asks for a key withdraws its copy of that key.
 */
export function referenceKey(resource: string): Key {
  return parseKey(REFERENCE_PREFIX + resource)
}

/** The operation that a ticket stands for. Anybody's ticket on such a key is a pull unless it says otherwise. */
export function typeOf(ticket: string): LegacyType {
  return LEGACY_TYPES.find((type) => ticket.startsWith(`${type}:`)) ?? 'pull'
}

/** A wish with a ticket of its own. */
export function createWish(session: SessionRef, type: LegacyType, maxHoldMs: number): AcquireCommand {
  return wishOf({ session, ticket: `${type}:${randomUUID()}`, maxHoldMs })
}

/** The wish that a ticket stands for. */
export function wishOf(entry: {
  readonly session: SessionRef
  readonly ticket: string
  readonly maxHoldMs?: number | undefined
}): AcquireCommand {
  return {
    op: 'acquire',
    session: entry.session,
    ticket: entry.ticket,
    // Alone in its group: old nodes try one after another for ever, and no failure condemns the wish of another one.
    group: entry.ticket,
    enqueue: true,
    ignoreOutcome: typeOf(entry.ticket) !== 'pull',
    unlessReferenced: false,
    limit: 1,
    maxHoldMs: entry.maxHoldMs,
  }
}

/** All records of the earlier wire form, or those of its locks alone. */
export async function* legacyRecords(
  store: LockStore,
  prefixes: readonly string[] = [LOCK_PREFIX, REFERENCE_PREFIX],
): AsyncGenerator<KeyRecord> {
  for (const prefix of prefixes) {
    let after: string | undefined
    for (;;) {
      const page = await store.list({ prefix, after, limit: PAGE_RECORDS })
      yield* page
      after = page.at(-1)?.key
      if (page.length < PAGE_RECORDS) break
    }
  }
}

/** The records of the locks. */
export function lockRecords(store: LockStore): AsyncGenerator<KeyRecord> {
  return legacyRecords(store, [LOCK_PREFIX])
}
