import type { WatchEvent, WatchOptions } from './call-options.ts'
import { LockError, LockServerUnavailableError } from './errors.ts'
import type { EventConnector } from './event-connection.ts'
import { pauseBeforeRetry } from './retry.ts'
import type { RetryBudget } from './retry-budget.ts'

interface WatchParts {
  readonly connector: EventConnector
  readonly budget: RetryBudget
  readonly prefix: string
  /** How long the server may be away before the first connection stands, in milliseconds. */
  readonly unavailableTimeoutMs: number
  /** Aborted when the client is closed. */
  readonly closed: AbortSignal
}

/** A connection that stood for so long was a good one: the next backoff starts anew. */
const STEADY_MS = 10_000

/** What a stopped watch is aborted with; nobody sees it. */
const STOPPED = new Error('the watch was stopped')

/**
 * The events of the keys with a prefix, as they happen. Connects at the first `next()`, and again, after the last event
 * that was taken, whenever the connection breaks. Leaving the loop closes the connection; so does `return()`, also
 * while a `next()` is pending, which then ends the iteration.
 */
export class Watch implements AsyncIterableIterator<WatchEvent, void, void>, AsyncDisposable {
  readonly #stopping = new AbortController()
  readonly #events: AsyncGenerator<WatchEvent, void, void>

  constructor(parts: WatchParts, { signal, lastEventId }: WatchOptions) {
    const signals = [parts.closed, this.#stopping.signal, ...(signal === undefined ? [] : [signal])]
    this.#events = follow(parts, lastEventId, AbortSignal.any(signals))
  }

  /**
   * @throws {LockError} when the server refuses (`unauthorized`, `forbidden`, `invalid_request`)
   * @throws {LockServerUnavailableError} when the first connection did not stand within `unavailableTimeoutMs`
   * @throws {ClientClosedError} when the client was closed
   * @throws the signal's reason
   */
  async next(): Promise<IteratorResult<WatchEvent, void>> {
    try {
      return await this.#events.next()
    } catch (error) {
      if (error === STOPPED) return { done: true, value: undefined }
      throw error
    }
  }

  async return(): Promise<IteratorResult<WatchEvent, void>> {
    this.#stopping.abort(STOPPED)
    // A `next()` that is pending ends by that; this waits for it.
    await this.#events.return().catch(() => undefined)
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }
}

async function* follow(
  { connector, budget, prefix, unavailableTimeoutMs }: WatchParts,
  startAfter: string | undefined,
  signal: AbortSignal,
): AsyncGenerator<WatchEvent, void, void> {
  const startMs = performance.now()
  let lastEventId = startAfter
  let stood = false
  for (let failures = 0; ; failures++) {
    let broken: LockError
    let connectedAtMs = Infinity
    try {
      signal.throwIfAborted()
      using connection = await connector.connect({ prefix, lastEventId, signal })
      connectedAtMs = performance.now()
      // Where the first event had not come yet when the connection broke, nobody knows what came in between.
      if (stood && lastEventId === undefined) yield { type: 'missed' }
      stood = true
      try {
        yield* connection.events()
      } finally {
        lastEventId = connection.lastEventId ?? lastEventId
      }
      broken = new LockServerUnavailableError('the lock server has closed the stream of events')
    } catch (error) {
      signal.throwIfAborted()
      broken =
        error instanceof LockError
          ? error
          : new LockServerUnavailableError('the stream of events broke off', { cause: error })
      if (!broken.retryable) throw broken
    }
    if (performance.now() - connectedAtMs >= STEADY_MS) failures = 0
    const giveUpMs = stood ? Infinity : unavailableTimeoutMs - (performance.now() - startMs)
    await pauseBeforeRetry(broken, failures, { giveUpMs, budget, signal })
  }
}
