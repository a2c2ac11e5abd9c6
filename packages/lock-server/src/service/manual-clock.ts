import type { Clock } from './clock.ts'

/** A clock that only its owner moves: for tests of this server, and of programs that use it. */
export class ManualClock implements Clock {
  /** By how much timers fire too early, as those of Node do. */
  earlyMs = 0
  #nowMs = 1_000_000
  readonly #timers = new Set<{ readonly atMs: number; readonly callback: () => void }>()

  nowMs(): number {
    return this.#nowMs
  }

  wallMicros(): number {
    return this.#nowMs * 1_000
  }

  schedule(callback: () => void, delayMs: number): Disposable {
    const timer = { atMs: this.#nowMs + Math.max(0, delayMs - this.earlyMs), callback }
    this.#timers.add(timer)
    return { [Symbol.dispose]: () => this.#timers.delete(timer) }
  }

  /** How many timers wait. */
  get timers(): number {
    return this.#timers.size
  }

  /** Lets time pass: each timer fires at its time, and what it starts is done before the next one. */
  async pass(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms
    await settled()
    for (;;) {
      const due = [...this.#timers].filter((timer) => timer.atMs <= untilMs)
      if (due.length === 0) break
      const next = due.reduce((first, timer) => (timer.atMs < first.atMs ? timer : first))
      this.#nowMs = Math.max(this.#nowMs, next.atMs)
      await this.#fire(next)
    }
    this.#nowMs = untilMs
    await settled()
  }

  /** Lets time pass as for a process that was stopped: all timers that were due meanwhile fire late, at its end. */
  async stall(ms: number): Promise<void> {
    this.#nowMs += ms
    await this.pass(0)
  }

  async #fire(timer: { readonly atMs: number; readonly callback: () => void }): Promise<void> {
    this.#timers.delete(timer)
    timer.callback()
    await settled()
  }
}

/** Resolves when everything that can go on without time passing or I/O has done so. */
export async function settled(): Promise<void> {
  for (let round = 0; round < 3; round++) await new Promise((resolve) => setImmediate(resolve))
}
