/**
 * When and why a lease ended. The signal and the reason are made only for those who look at them: most leases are taken
 * and given back without anyone doing so, and an error with its stack is the dearest part of a lease.
 */
export class LeaseEnd {
  readonly #session: AbortSignal
  #reason: (() => unknown) | undefined
  #controller: AbortController | undefined
  #timer: NodeJS.Timeout | undefined

  /** @param session the signal of the session that the lease is of, with which it ends at the latest */
  constructor(session: AbortSignal) {
    this.#session = session
  }

  /** Whether the lease has ended by itself; that its session has is another matter. */
  get isOver(): boolean {
    return this.#reason !== undefined
  }

  /** Aborted when the lease ends, with why. */
  get signal(): AbortSignal {
    if (this.#controller !== undefined) return this.#controller.signal
    this.#controller = new AbortController()
    if (this.#reason !== undefined) this.#controller.abort(this.#reason())
    else if (this.#session.aborted) this.#controller.abort(this.#session.reason)
    else this.#session.addEventListener('abort', this.#sessionEnded, { once: true })
    return this.#controller.signal
  }

  /** Ends it, once. @param reason makes the reason, when somebody wants it */
  end(reason: () => unknown): void {
    if (this.#reason !== undefined) return
    this.#reason = reason
    clearTimeout(this.#timer)
    if (this.#controller === undefined) return
    this.#session.removeEventListener('abort', this.#sessionEnded)
    this.#controller.abort(reason())
  }

  /** Calls back after a time, unless the lease has ended before. Never keeps the process alive. */
  after(delayMs: number, callback: () => void): void {
    clearTimeout(this.#timer)
    if (this.isOver) return
    this.#timer = setTimeout(callback, delayMs)
    this.#timer.unref()
  }

  readonly #sessionEnded = () => {
    clearTimeout(this.#timer)
    this.#controller?.abort(this.#session.reason)
  }
}
