import { MAX_DELAY_MS } from './argument-checks.ts'
import { orAborted } from './sleep.ts'

export const DEFAULT_RETRIES_PER_SECOND = 10

/** What a first try adds: in the long run one retry for every ten calls, on top of those that time allows. */
const TOKENS_PER_FIRST_TRY = 0.1
/**
 * What a retry that succeeds gives back: its own token and one for another. So when the server is there again, all who
 * wait come back in doubling steps, within a few round trips, and not at the pace of an outage.
 */
const TOKENS_PER_RECOVERY = 2

interface TakeOptions {
  /** How long the token may be waited for, in milliseconds. */
  readonly withinMs: number
  readonly signal?: AbortSignal | undefined
  /** Whether the process may end meanwhile. Default false. */
  readonly background?: boolean | undefined
}

interface Waiter {
  readonly background: boolean
  readonly resolve: (given: boolean) => void
}

/**
 * Bounds the retries of one client, whatever the number of its calls, as a token bucket (like those of gRPC and
 * Finagle), so that an outage is not met with a multiple of the load. A retry costs a token; where there is none, the
 * retry waits for its turn rather than fails: first come, first served.
 */
export class RetryBudget {
  readonly #tokensPerMs: number
  readonly #capacity: number
  readonly #waiters = new Set<Waiter>()
  #tokens: number
  #filledAtMs = performance.now()
  /** Armed for as long as anybody waits. */
  #timer: NodeJS.Timeout | undefined
  /** How many of those who wait keep the process alive. */
  #foreground = 0

  /** @param retriesPerSecond how many are allowed at the least, however little else is asked; also the greatest burst */
  constructor(retriesPerSecond = DEFAULT_RETRIES_PER_SECOND) {
    this.#tokensPerMs = retriesPerSecond / 1_000
    this.#capacity = retriesPerSecond
    this.#tokens = this.#capacity
  }

  /** Takes note of a call's first try. */
  firstTry(): void {
    this.#deposit(TOKENS_PER_FIRST_TRY)
  }

  /** Takes note of a retry that succeeded: the server is there. */
  recovered(): void {
    this.#deposit(TOKENS_PER_RECOVERY)
  }

  /**
   * Resolves when a retry may go out: with true, or with false when there was no token for it in time.
   *
   * @throws the signal's reason
   */
  async take({ withinMs, signal, background = false }: TakeOptions): Promise<boolean> {
    signal?.throwIfAborted()
    this.#refill()
    if (this.#waiters.size === 0 && this.#tokens >= 1) {
      this.#tokens--
      return true
    }
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const waiter = { background, resolve }
    this.#waiters.add(waiter)
    if (!background) this.#foreground++
    this.#arm()
    // The timer of the bucket is what keeps the process alive, if anything is to.
    const tooLate = setTimeout(() => resolve(false), Math.min(withinMs, MAX_DELAY_MS)).unref()
    try {
      return await orAborted(promise, signal)
    } finally {
      clearTimeout(tooLate)
      this.#leave(waiter)
      this.#arm()
    }
  }

  #leave(waiter: Waiter): void {
    if (this.#waiters.delete(waiter) && !waiter.background) this.#foreground--
  }

  #deposit(tokens: number): void {
    this.#refill()
    this.#tokens = Math.min(this.#capacity, this.#tokens + tokens)
    this.#serve()
  }

  #refill(): void {
    const nowMs = performance.now()
    this.#tokens = Math.min(this.#capacity, this.#tokens + (nowMs - this.#filledAtMs) * this.#tokensPerMs)
    this.#filledAtMs = nowMs
  }

  #serve(): void {
    for (const waiter of this.#waiters) {
      if (this.#tokens < 1) break
      this.#tokens--
      this.#leave(waiter)
      waiter.resolve(true)
    }
    this.#arm()
  }

  /**
   * Sees to it that the timer for the next token is set if anybody waits for it, and keeps the process alive if one of
   * those does. In constant time: it is called for each who comes or goes, and in an outage many wait.
   */
  #arm(): void {
    if (this.#waiters.size === 0) {
      clearTimeout(this.#timer)
      this.#timer = undefined
      return
    }
    // One that is armed fires early where tokens were given back meanwhile: then it is set again.
    this.#timer ??= setTimeout(() => this.#onTimer(), Math.max(1, (1 - this.#tokens) / this.#tokensPerMs))
    if (this.#foreground > 0) this.#timer.ref()
    else this.#timer.unref()
  }

  #onTimer(): void {
    this.#timer = undefined
    this.#refill()
    this.#serve()
  }
}
