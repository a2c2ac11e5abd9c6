import { setTimeout as delay } from 'node:timers/promises'

/** Waits; rejects with the signal's reason. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await delay(ms, undefined, { signal })
  } catch (error) {
    signal.throwIfAborted()
    throw error
  }
}

const FIRST_BACKOFF_MS = 200

/** Waits before upstream is tried again after so many failures in a row: at random, up to twice as long each time. */
export function backOff(failures: number, signal: AbortSignal): Promise<void> {
  return pause(Math.random() * FIRST_BACKOFF_MS * 2 ** failures, signal)
}
