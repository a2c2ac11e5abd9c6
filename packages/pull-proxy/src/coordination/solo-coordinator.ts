import { NO_PLACE, type Place } from '../upstream/request-gate.ts'
import type { Claim, CoordinationStatus, Coordinator, Lead, Shared, SharedWork, ShareOptions } from './coordinator.ts'

const LEAD: Lead = {
  completed: () => Promise.resolve(),
  failed: () => Promise.resolve(),
  released: () => Promise.resolve(),
}

const CLAIM: Claim = {
  ask: () => Promise.resolve({ kind: 'lead', lead: LEAD }),
  next: () => Promise.resolve({ kind: 'lead', lead: LEAD }),
  insist: () => undefined,
  forget: () => Promise.resolve(),
  arrived: () => Promise.resolve(),
  [Symbol.asyncDispose]: () => Promise.resolve(),
}

interface Result {
  readonly value: Promise<unknown>
  /** Whose failure it would be. */
  readonly group: string
  atMs: number
  untilMs: number
}

/** How many results are kept at the most. */
const MAX_RESULTS = 10_000

/** For a proxy without a lock server: there is nobody to ask, and every flight is granted. */
export class SoloCoordinator implements Coordinator {
  /** Work that is done now, and results that are shared for a while. */
  readonly #results = new Map<string, Result>()

  claim(): Claim {
    return CLAIM
  }

  async share<T>(key: string, work: SharedWork<T>, options: ShareOptions): Promise<Shared<T>> {
    const { retainMs, group, isGood = () => true } = options
    for (;;) {
      const known = this.#results.get(key)
      if (known === undefined || performance.now() >= known.untilMs) break
      try {
        const value = (await known.value) as T
        if (isGood(value)) return { value, ageMs: Math.max(0, performance.now() - known.atMs) }
        if (this.#results.get(key) === known) this.#results.delete(key)
      } catch (error) {
        // Of others it says nothing, and they do their own work.
        if (known.group === group) throw error
      }
    }
    const result: Result = { value: work(false), group, atMs: Infinity, untilMs: Infinity }
    this.#keep(key, result)
    try {
      const value = (await result.value) as T
      result.atMs = performance.now()
      result.untilMs = result.atMs + retainMs
      return { value, ageMs: 0 }
    } catch (error) {
      if (this.#results.get(key) === result) this.#results.delete(key)
      throw error
    }
  }

  publish(): Promise<void> {
    return Promise.resolve()
  }

  lookUp(): Promise<undefined> {
    return Promise.resolve(undefined)
  }

  takePlace(): Promise<Place> {
    return Promise.resolve(NO_PLACE)
  }

  withdraw(): Promise<void> {
    return Promise.resolve()
  }

  status(): CoordinationStatus {
    return { degradedPulls: 0, degraded: false }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve()
  }

  /** The oldest results make room, but for those that are still to come. */
  #keep(key: string, result: Result): void {
    this.#results.delete(key)
    this.#results.set(key, result)
    for (const [other, { untilMs }] of this.#results) {
      if (this.#results.size <= MAX_RESULTS) return
      if (untilMs !== Infinity) this.#results.delete(other)
    }
  }
}
