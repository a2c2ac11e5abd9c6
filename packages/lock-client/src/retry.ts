import { backoffMs } from './backoff.ts'
import { publish } from './diagnostics.ts'
import { LockError } from './errors.ts'
import type { RetryBudget } from './retry-budget.ts'
import { sleep } from './sleep.ts'

export interface RetryOptions {
  /** How long tries may go on failing before the last error is thrown, in milliseconds from the first failure on. */
  readonly giveUpMs: number
  /** What the retries are taken from. Default: they are not bounded together. */
  readonly budget?: RetryBudget | undefined
  readonly signal?: AbortSignal | undefined
  /** Whether the process may end between two tries. Default false. */
  readonly background?: boolean
}

/** Tries again what failed for a passing reason, with full jitter, honouring `Retry-After` and the client's budget. */
export async function retry<T>(attempt: () => Promise<T>, options: RetryOptions): Promise<T> {
  const { budget } = options
  let awaySinceMs: number | undefined
  budget?.firstTry()
  for (let count = 0; ; count++) {
    try {
      const result = await attempt()
      if (count > 0) budget?.recovered()
      return result
    } catch (error) {
      if (!(error instanceof LockError) || !error.retryable) throw error
      // Not from the start: a long poll that hangs is noticed late, and deserves its retry all the same.
      awaySinceMs ??= performance.now()
      const giveUpMs = options.giveUpMs - (performance.now() - awaySinceMs)
      await pauseBeforeRetry(error, count, { ...options, giveUpMs })
    }
  }
}

/**
 * Waits for as long as a retry must.
 *
 * @param count how many retries there were before
 * @throws the error itself, when the wait would be longer than `giveUpMs`
 * @throws the signal's reason
 */
export async function pauseBeforeRetry(error: LockError, count: number, options: RetryOptions): Promise<void> {
  const { giveUpMs, budget, signal, background = false } = options
  const waitMs = Math.max(backoffMs(count), error.retryAfterMs ?? 0)
  if (waitMs >= giveUpMs) throw error
  publish('request:retry', { retry: count + 1, waitMs, error })
  await sleep(waitMs, { signal, background })
  if (budget === undefined) return
  if (!(await budget.take({ withinMs: giveUpMs - waitMs, signal, background }))) throw error
}
