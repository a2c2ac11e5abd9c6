import type { Progress } from '@layerlock/protocol'
import type { SessionRef } from './record.ts'

/** What the machine may know of a live session. */
export interface SessionFacts {
  readonly node: string
  readonly endpoint?: string | undefined
}

/** The machine's settings; durations in milliseconds. */
export interface MachineSettings {
  /** How long a grant to a queued ticket waits to be taken up. Default 10,000. */
  readonly offerMs: number
  /** How long a permanent failure, or the last one of a row, is remembered. Default 10,000. */
  readonly negativeMs: number
  /** Reported failures in a row after which all waiters are told. Default 3. */
  readonly maxFailures: number
  /** The longest `retryAfterMs` that is kept to: a longer one is cut to it. Default 24 hours. */
  readonly maxRetryAfterMs: number
  /** Of how many groups a key remembers failures; the oldest go first. Default 64. */
  readonly maxGroups: number
  /** How long an outcome without copies is kept when `complete` names no `retainMs`. Default 60,000. */
  readonly retainMs: number
  /** How long those who waited for a completion can learn of it, however short `retainMs` is. Default 30,000. */
  readonly audienceMs: number
  /** How long the end of a ticket is remembered. Default 30,000. */
  readonly endedMs: number
  /** How many ended tickets a key remembers at the most. Default 256. */
  readonly maxEnded: number
  /** The longest queue of one key. Default 100,000. */
  readonly maxQueue: number
}

export const DEFAULT_MACHINE_SETTINGS: MachineSettings = Object.freeze({
  offerMs: 10_000,
  negativeMs: 10_000,
  maxFailures: 3,
  maxRetryAfterMs: 24 * 3_600_000,
  maxGroups: 64,
  retainMs: 60_000,
  audienceMs: 30_000,
  endedMs: 30_000,
  maxEnded: 256,
  maxQueue: 100_000,
})

/** All that a decision depends on besides the record and the command: no clock, no randomness, no I/O of its own. */
export interface MachineContext {
  /** Milliseconds on a clock that never goes back while the server runs. */
  readonly nowMs: number
  /** The least fencing token that may be given out now. */
  readonly tokenFloor: number
  /** The facts of a session while it lives; undefined once it has ended. */
  session(ref: SessionRef): SessionFacts | undefined
  /** The last progress reported for a ticket of this key, if any. */
  progress(ticket: string): Progress | undefined
  readonly settings: MachineSettings
}
