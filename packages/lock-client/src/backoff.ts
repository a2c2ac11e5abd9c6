/** Waiting times between tries, in milliseconds. */
export interface BackoffOptions {
  /** The most that the first wait can be. Default 100. */
  readonly firstMs: number
  /** The most that any wait can be. Default 5,000. */
  readonly greatestMs: number
}

export const DEFAULT_BACKOFF: BackoffOptions = Object.freeze({ firstMs: 100, greatestMs: 5_000 })

/**
 * Exponential backoff with full jitter: anything from 0 to a ceiling that doubles with each try, so that clients which
 * failed together do not come back together. (Marc Brooker, "Exponential Backoff and Jitter", AWS 2015.)
 *
 * @param attempt 0 for the wait after the first try
 */
export function backoffMs(attempt: number, options = DEFAULT_BACKOFF, random: () => number = Math.random): number {
  const ceilingMs = Math.min(options.greatestMs, options.firstMs * 2 ** Math.min(attempt, 30))
  return random() * ceilingMs
}
