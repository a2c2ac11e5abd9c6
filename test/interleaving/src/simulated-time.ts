import { vi } from 'vitest'

/** How many turns of the event loop an HTTP call in this process may take without time passing. */
const TURNS = 8

/**
 * Replaces the timers and `performance.now()` of this process. What is left real is `setImmediate`, by which calls within
 * this process get on: between two timers everything is run that can run.
 */
export class SimulatedTime implements Disposable {
  constructor() {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] })
    // Node makes this one of its own timers, not of the global ones.
    vi.spyOn(AbortSignal, 'timeout').mockImplementation((ms) => {
      const controller = new AbortController()
      setTimeout(() => controller.abort(new DOMException('the time is over', 'TimeoutError')), ms)
      return controller.signal
    })
  }

  /** Lets time pass until the promise is settled; undefined when that has not happened within `limitMs`. */
  async until<T>(promise: Promise<T>, limitMs: number): Promise<T | undefined> {
    const state = { isSettled: false }
    const settle = () => {
      state.isSettled = true
    }
    promise.then(settle, settle)
    const deadlineMs = performance.now() + limitMs
    await runAll()
    while (!state.isSettled && performance.now() < deadlineMs) {
      vi.advanceTimersToNextTimer()
      await runAll()
    }
    return state.isSettled ? promise : undefined
  }

  [Symbol.dispose](): void {
    vi.restoreAllMocks()
    vi.useRealTimers()
  }
}

async function runAll(): Promise<void> {
  for (let turn = 0; turn < TURNS; turn++) await new Promise((resolve) => setImmediate(resolve))
}
