/** Where the service takes time from; tests put their own in. */
export interface Clock {
  /** Milliseconds since the epoch at start-up, going on without jumps however the wall clock is set. */
  nowMs(): number
  /** The wall clock in microseconds since the epoch: the floor of fencing tokens. */
  wallMicros(): number
  /** Calls back once, later. Never keeps the process alive. */
  schedule(callback: () => void, delayMs: number): Disposable
}

/** The longest delay that a Node timer takes; a longer one would fire at once. */
const MAX_DELAY_MS = 2 ** 31 - 1

export const systemClock: Clock = {
  nowMs: () => performance.timeOrigin + performance.now(),
  wallMicros: () => Date.now() * 1_000,
  schedule(callback, delayMs) {
    const timer = setTimeout(callback, Math.min(Math.max(0, delayMs), MAX_DELAY_MS))
    timer.unref()
    return { [Symbol.dispose]: () => clearTimeout(timer) }
  },
}
