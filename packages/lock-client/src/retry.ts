import { backoffMs } from './backoff.ts'
import { LockError } from './errors.ts'
import { sleep } from './sleep.ts'

export interface RetryOptions {
  /** How long tries may go on failing before the last error is thrown, in milliseconds. */
  readonly giveUpMs: number
  readonly signal?: AbortSignal | undefined
  /** Whether the process may end between two tries. Default false. */
  readonly background?: boolean
}

/** Tries again what failed for a passing reason, with full jitter, honouring `Retry-After`. */
export async function retry<T>(
  attempt: () => Promise<T>,
  { giveUpMs, signal, background = false }: RetryOptions,
): Promise<T> {
  const startMs = performance.now()
  for (let count = 0; ; count++) {
    try {
      return await attempt()
    } catch (error) {
      if (!(error instanceof LockError) || !error.retryable) throw error
      const waitMs = Math.max(backoffMs(count), error.retryAfterMs ?? 0)
      if (performance.now() + waitMs - startMs >= giveUpMs) throw error
      await sleep(waitMs, { signal, background })
    }
  }
}
