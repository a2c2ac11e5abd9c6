import { parseKey, type Key } from '@layerlock/protocol'
// From within the package, and not its whole entry: a process that lives for 50 ms should not take 500 to start.
import { createRecord, type KeyRecord, type SessionRef } from '../../../packages/lock-server/src/core/record.ts'
import type { StoredSession } from '../../../packages/lock-server/src/store/lock-store.ts'
import type { Random } from '@layerlock/test-support'

/** What a process that writes to a store says about one change: before it begins, and when the store has promised it. */
export type StoreReport =
  | {
      readonly type: 'swap'
      readonly id: number
      readonly key: Key
      readonly expectedVersion: number
      readonly record: KeyRecord | undefined
    }
  | { readonly type: 'save'; readonly id: number; readonly session: StoredSession }
  | { readonly type: 'delete'; readonly id: number; readonly session: StoredSession }
  | { readonly type: 'promised'; readonly id: number }

/** Each is changed by one loop, one change after the other. */
export const STORE_KEYS: readonly Key[] = ['a', 'b/c', 'b/d', 'ü', 'long'.repeat(100)].map(parseKey)

/** A change such as the machine makes: the lists grow, shrink and lose their first entries; tokens grow. */
export function drawRecord(
  random: Random,
  key: Key,
  before: KeyRecord | undefined,
  token: number,
): KeyRecord | undefined {
  if (random.chance(0.05)) return undefined
  const record = before ?? createRecord(key)
  const session = `s${random.between(0, 5)}` as SessionRef
  const ticket = `t${token}`
  const waiter = { ticket, session, ignoreOutcome: random.chance(0.5), unlessReferenced: false, sinceMs: token }
  switch (random.between(0, 5)) {
    case 0:
      return { ...record, queue: [...record.queue, waiter] }
    case 1:
      return { ...record, queue: record.queue.slice(random.between(0, 3)) }
    case 2:
      return { ...record, lastToken: token, holds: [{ ticket, session, token, attempt: 1, sinceMs: token }] }
    case 3:
      return {
        ...record,
        holds: [],
        ended: [...record.ended, { ticket, session, token, how: 'released', untilMs: token }],
      }
    case 4:
      return { ...record, ended: record.ended.slice(2), copies: [session] }
    default:
      return { ...record, queue: record.queue.filter((_, index) => index % 3 !== 1), pausedUntilMs: token }
  }
}
