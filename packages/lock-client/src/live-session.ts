import { SessionExpiredError } from './errors.ts'

/**
 * The share of the TTL (and of a `maxHoldMs`) by which the client is more cautious than the server. It covers clocks that run at slightly
 * different speeds, and the time that work takes to notice its signal.
 */
export const SAFETY_MARGIN = 0.1

/**
 * One session while it lives. It counts its own deadline, on a monotonic clock and from before the last successful
 * renewal was sent, so it ends here before it can end at the server, and needs no answer from anyone for that.
 */
export class LiveSession {
  readonly id: string
  readonly ttlMs: number
  /** Whether the copies of a predecessor were taken over. */
  readonly resumed: boolean
  readonly #ended = new AbortController()
  #deadlineMs = 0
  #timer: NodeJS.Timeout | undefined
  /** Those who wait for a renewal, with when they began. */
  #waiting: { readonly sinceMs: number; readonly resolve: () => void }[] = []

  constructor(opened: { id: string; ttlMs: number; resumed: boolean }, sentAtMs: number) {
    this.id = opened.id
    this.ttlMs = opened.ttlMs
    this.resumed = opened.resumed
    this.renewed(sentAtMs)
  }

  /** Aborted, with the error as its reason, when the session has ended or may have. */
  get signal(): AbortSignal {
    return this.#ended.signal
  }

  /** Takes note of a renewal that succeeded. @param sentAtMs when it was sent, as `performance.now()` */
  renewed(sentAtMs: number): void {
    if (this.signal.aborted) return
    this.#deadlineMs = sentAtMs + this.ttlMs * (1 - SAFETY_MARGIN)
    this.#watchDeadline()
    const waiting = this.#waiting
    this.#waiting = waiting.filter(({ sinceMs }) => sinceMs >= sentAtMs)
    for (const { sinceMs, resolve } of waiting) if (sinceMs < sentAtMs) resolve()
  }

  /**
   * Resolves when a renewal succeeds that is sent from now on: one that is on its way (a parked one, say) may have been
   * answered for a state that is past. Stays open when the session ends before.
   */
  nextRenewal(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#waiting.push({ sinceMs: performance.now(), resolve })
    return promise
  }

  /** Whether it lives. Looks at the clock, so it is right even when the process was stopped and no timer has run yet. */
  isLive(): boolean {
    if (!this.signal.aborted && performance.now() >= this.#deadlineMs) {
      this.end(new SessionExpiredError('the session could not be renewed in time'))
    }
    return !this.signal.aborted
  }

  /** Looks at the deadline, again and again: Node's timers fire early by as much as the tick that set them took. */
  #watchDeadline(): void {
    clearTimeout(this.#timer)
    const leftMs = Math.max(0, this.#deadlineMs - performance.now()) + 1
    this.#timer = setTimeout(() => this.isLive() && this.#watchDeadline(), leftMs)
    this.#timer.unref()
  }

  end(reason: Error): void {
    clearTimeout(this.#timer)
    this.#waiting = []
    this.#ended.abort(reason)
  }
}
