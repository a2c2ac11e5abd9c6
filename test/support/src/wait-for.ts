import { setTimeout as sleep } from 'node:timers/promises'

/** What a condition may say for "not yet". */
type NotYet = undefined | null | false | 0 | ''

/** How long to wait, and for what. */
export interface WaitForOptions {
  /** Completes the sentence "waited in vain for …". */
  readonly what: string
  /** Default 10,000. */
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

const intervalMs = 20

/**
 * Asks every 20 ms until the condition gives something truthy, and returns that. An error of the condition is thrown at
 * once.
 *
 * @throws Error that names `what` when the time is over
 */
export async function waitFor<T>(
  condition: () => T | NotYet | Promise<T | NotYet>,
  options: WaitForOptions,
): Promise<Exclude<T, NotYet>> {
  const { what, timeoutMs = 10_000, signal } = options
  const deadlineMs = performance.now() + timeoutMs
  for (;;) {
    signal?.throwIfAborted()
    const value = await condition()
    if (value) return value as Exclude<T, NotYet>
    if (performance.now() >= deadlineMs) throw new Error(`waited ${timeoutMs} ms in vain for ${what}`)
    await sleep(intervalMs, undefined, { signal })
  }
}
