/** The most that is handed to a socket at once, so that a limit is smooth and a cut is near its place. */
export const maxSliceBytes = 64 * 1024

/** How much may go out in one burst, as time at the full rate. */
const burstMs = 10

interface Waiter {
  readonly bytes: number
  readonly resolve: () => void
}

/**
 * A token bucket that any number of streams share, first come, first served. Smooth: no more than 10 ms' worth goes out
 * at once. Over a longer time the rate is exact, since what was overdrawn is waited for before the next is let through.
 */
export class RateLimit {
  /** Undefined: no limit. May be changed at any time. */
  bytesPerSecond: number | undefined
  /** What may go out now; below zero after a slice that was larger than what was left. */
  #creditBytes = 0
  #creditAtMs = performance.now()
  readonly #waiters: Waiter[] = []
  #pumping = false

  constructor(bytesPerSecond?: number) {
    this.bytesPerSecond = bytesPerSecond
  }

  /** How large a piece to send at once: 10 ms' worth, 1 KiB to 64 KiB. */
  get sliceBytes(): number {
    if (this.bytesPerSecond === undefined) return maxSliceBytes
    return Math.min(maxSliceBytes, Math.max(1024, Math.floor((this.bytesPerSecond * burstMs) / 1000)))
  }

  /** Resolves when so many bytes may go out. An abort gives its place in the queue back and uses nothing up. */
  async take(bytes: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    if (this.bytesPerSecond === undefined && this.#waiters.length === 0) return
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const waiter = { bytes, resolve }
    const abort = (): void => {
      const place = this.#waiters.indexOf(waiter)
      if (place !== -1) this.#waiters.splice(place, 1)
      reject(signal?.reason)
    }
    signal?.addEventListener('abort', abort, { once: true })
    this.#waiters.push(waiter)
    void this.#pump()
    try {
      await promise
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }

  async #pump(): Promise<void> {
    if (this.#pumping) return
    this.#pumping = true
    while (this.#waiters.length > 0) {
      this.#refill()
      if (this.#creditBytes > 0) {
        const { bytes, resolve } = this.#waiters.shift()!
        this.#creditBytes -= bytes
        resolve()
      } else {
        const owedMs = (-this.#creditBytes / (this.bytesPerSecond ?? Infinity)) * 1000
        // The global timer and not node:timers/promises, which test runners cannot fake.
        await new Promise((resolve) => setTimeout(resolve, Math.min(Math.max(1, Math.ceil(owedMs)), burstMs)))
      }
    }
    this.#pumping = false
  }

  #refill(): void {
    const nowMs = performance.now()
    const rate = this.bytesPerSecond
    if (rate === undefined) {
      this.#creditBytes = Infinity
    } else {
      const burstBytes = (rate * burstMs) / 1000
      const earnedBytes = ((nowMs - this.#creditAtMs) * rate) / 1000
      this.#creditBytes = Math.min(burstBytes, this.#creditBytes + earnedBytes)
    }
    this.#creditAtMs = nowMs
  }
}
