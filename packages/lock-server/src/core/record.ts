import type { Key, WorkError } from '@layerlock/protocol'

declare const refBrand: unique symbol
/** Names a session inside records. Unlike the session's id it is no secret, and it survives a `resume`. */
export type SessionRef = string & { readonly [refBrand]: true }

/** A granted lease. */
export interface Hold {
  readonly ticket: string
  readonly session: SessionRef
  readonly token: number
  readonly group?: string | undefined
  readonly attempt: number
  readonly lastError?: WorkError | undefined
  readonly sinceMs: number
  /** Set while this is an offer that its client has not taken up: when it goes to the next in line. */
  readonly offerEndsMs?: number | undefined
  readonly maxHoldMs?: number | undefined
  /** Counts from when the lease was granted or, for an offer, taken up: until then nobody has worked. */
  readonly holdEndsMs?: number | undefined
}

/** A ticket in the queue. */
export interface Waiter {
  readonly ticket: string
  readonly session: SessionRef
  readonly group?: string | undefined
  readonly ignoreOutcome: boolean
  readonly unlessReferenced: boolean
  readonly maxHoldMs?: number | undefined
  readonly sinceMs: number
  /** The source that the last answer to this ticket named. */
  readonly told?: SessionRef | undefined
}

/** What a completed hold left behind. Reading never changes it (rule 3). */
export interface Outcome {
  readonly token: number
  readonly value?: unknown
  readonly node: string
  readonly atMs: number
  /** From then on it is for its audience only. Absent: for everybody, as long as a copy lives. */
  readonly endsMs?: number | undefined
  /** Whether it ends with the last live copy. */
  readonly onCopies: boolean
  /**
   * The tickets that waited at its completion and may read it after `endsMs`, for they were promised an answer. Where
   * it stays long enough anyway: only those of sessions that have a copy, so that reading it does not withdraw that.
   */
  readonly audience: readonly string[]
  readonly audienceEndsMs: number
}

/** How often wishes of one group have failed. Absent: those without a group. */
export interface GroupFailures {
  readonly group?: string | undefined
  readonly count: number
}

/** Failures in a row since the last success. */
interface Streak {
  readonly count: number
  readonly error: WorkError
  /** Reported failures by group, the group that failed last at the end; an ended session counts in `count` only. */
  readonly failures: readonly GroupFailures[]
  readonly endsMs: number
}

/** A failure that is remembered, so that not every waiter tries in turn what cannot work. */
export interface Refusal {
  readonly error: WorkError
  readonly attempts: number
  /** Absent: for everybody. */
  readonly group?: string | undefined
  readonly endsMs: number
}

/** How a ticket ended, kept for a while so that a repeated or late request changes nothing. */
export interface Ended {
  readonly ticket: string
  readonly session: SessionRef
  readonly token?: number | undefined
  readonly how: 'completed' | 'failed' | 'released' | 'cancelled' | 'expired'
  readonly untilMs: number
}

/** Everything that the lock server knows of one key. Values are never changed in place. */
export interface KeyRecord {
  readonly key: Key
  readonly limit: number
  readonly lastToken: number
  readonly holds: readonly Hold[]
  readonly queue: readonly Waiter[]
  readonly outcome?: Outcome | undefined
  /** Sessions that have what is behind the key, in the order in which they said so. */
  readonly copies: readonly SessionRef[]
  readonly streak?: Streak | undefined
  readonly refusals: readonly Refusal[]
  /** No new grant before then (`retryAfterMs`). */
  readonly pausedUntilMs?: number | undefined
  readonly ended: readonly Ended[]
}

/** A key that nobody has asked for yet. */
export function createRecord(key: Key): KeyRecord {
  return { key, limit: 1, lastToken: 0, holds: [], queue: [], copies: [], refusals: [], ended: [] }
}

/** Whether forgetting the record would lose nothing. */
export function isBlank(record: KeyRecord): boolean {
  return (
    record.holds.length === 0 &&
    record.queue.length === 0 &&
    record.copies.length === 0 &&
    record.ended.length === 0 &&
    record.refusals.length === 0 &&
    record.outcome === undefined &&
    record.streak === undefined &&
    record.pausedUntilMs === undefined
  )
}

/** The sessions that hold the key, wait for it, or have a copy of what is behind it. */
export function sessionsOf(record: KeyRecord): Set<SessionRef> {
  const sessions = new Set(record.copies)
  for (const { session } of record.holds) sessions.add(session)
  for (const { session } of record.queue) sessions.add(session)
  return sessions
}
