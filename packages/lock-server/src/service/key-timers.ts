import type { Key } from '@layerlock/protocol'
import type { Clock } from './clock.ts'

/** One timer a key: calls back when time alone changes its record. */
export class KeyTimers implements Disposable {
  readonly #clock: Clock
  readonly #due: (key: Key) => void
  readonly #timers = new Map<Key, { readonly atMs: number; readonly timer: Disposable }>()

  constructor(clock: Clock, due: (key: Key) => void) {
    this.#clock = clock
    this.#due = due
  }

  /** Sets when the key is due next. A timer that is set for earlier stays: being early is harmless, and cheaper. */
  set(key: Key, atMs: number | undefined): void {
    const current = this.#timers.get(key)
    if (current !== undefined && atMs !== undefined && current.atMs <= atMs) return
    current?.timer[Symbol.dispose]()
    if (atMs === undefined) {
      this.#timers.delete(key)
      return
    }
    const fire = () => {
      this.#timers.delete(key)
      this.#due(key)
    }
    // A millisecond more, so that the deadline is over when the timer fires, which may be a fraction too early.
    this.#timers.set(key, { atMs, timer: this.#clock.schedule(fire, atMs - this.#clock.nowMs() + 1) })
  }

  [Symbol.dispose](): void {
    for (const { timer } of this.#timers.values()) timer[Symbol.dispose]()
    this.#timers.clear()
  }
}
