import type { LockEvent } from '@layerlock/protocol'

export interface CallOptions {
  /** Ends the call, which then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined
}

export interface WaitOptions extends CallOptions {
  /** How long the whole call may take, in milliseconds. Default: as long as it takes. */
  readonly timeoutMs?: number | undefined
}

export interface AcquireOptions extends WaitOptions {
  /** How many may hold the key at a time, 1 to 100,000; all its users must name the same. Default 1. */
  readonly limit?: number | undefined
  /** Ends the hold after this time however alive the session is, in milliseconds. Default: never. */
  readonly maxHoldMs?: number | undefined
  /** A permanent failure counts for wishes of the same group only. */
  readonly group?: string | undefined
}

export interface OnceOptions<T = unknown> extends AcquireOptions {
  /** How long the result is kept for those who ask later, in milliseconds. Default: the server's (60,000). */
  readonly retainMs?: number | undefined
  /**
   * Looks at a result that somebody else left. When it answers false, that outcome is forgotten (and only that one,
   * however many find it invalid at once) and the work is done anew, once. What it throws goes to the caller.
   */
  readonly verify?: ((value: T) => boolean | Promise<boolean>) | undefined
}

export interface OnceResult<T> {
  /** Whether the work was done by this call. */
  readonly ran: boolean
  readonly value: T
  /** The node that did the work. */
  readonly by: string
  /** The grants that it took in a row, this one included; 0 when the work was done already. */
  readonly attempts: number
  /** How long ago the work was done by the server's clock, in milliseconds; 0 when by this call. */
  readonly ageMs: number
}

export interface ForgetOptions extends CallOptions {
  /** Only the outcome with this fencing token. */
  readonly ifToken?: number | undefined
}

export interface WatchOptions extends CallOptions {
  /** Goes on after the event with this `id`. Default: with what happens from now on. */
  readonly lastEventId?: string | undefined
}

/**
 * What `watch` tells: an event with the id to resume after it, or that some events were missed (the server was away for
 * too long, or the reader too slow): look at the keys themselves then.
 */
export type WatchEvent = (LockEvent & { readonly id: string | undefined }) | { readonly type: 'missed' }
