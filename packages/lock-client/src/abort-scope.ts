import { MAX_DELAY_MS } from './argument-checks.ts'

/**
 * A signal that is aborted with the first of others, or when a time is over, until it is disposed of. Then nothing of it
 * is left: neither a timer nor a listener, which `AbortSignal.timeout` and `AbortSignal.any` leave behind until their
 * time is over or they are collected.
 */
export class AbortScope implements Disposable {
  readonly #controller = new AbortController()
  readonly #signals: readonly AbortSignal[]
  readonly #timer: NodeJS.Timeout | undefined
  #isTimedOut = false

  /** @param timeoutMs the timer never keeps the process alive: what is waited for does, or nothing is to. Default: never */
  constructor(signals: readonly (AbortSignal | undefined)[], timeoutMs = Infinity) {
    this.#signals = signals.filter((signal) => signal !== undefined)
    for (const signal of this.#signals) {
      if (signal.aborted) this.#controller.abort(signal.reason)
      else signal.addEventListener('abort', this.#aborted)
    }
    if (timeoutMs > MAX_DELAY_MS) return
    this.#timer = setTimeout(() => this.#timeOut(timeoutMs), timeoutMs)
    this.#timer.unref()
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Whether it was the time that aborted it. */
  get isTimedOut(): boolean {
    return this.#isTimedOut
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    for (const signal of this.#signals) signal.removeEventListener('abort', this.#aborted)
  }

  readonly #aborted = ({ target }: Event) => this.#controller.abort((target as AbortSignal).reason)

  #timeOut(timeoutMs: number): void {
    if (this.#controller.signal.aborted) return
    this.#isTimedOut = true
    this.#controller.abort(new DOMException(`${timeoutMs} ms are over`, 'TimeoutError'))
  }
}
