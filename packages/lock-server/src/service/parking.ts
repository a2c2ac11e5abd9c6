import type { Key } from '@layerlock/protocol'
import type { Clock } from './clock.ts'

/** A call that is held back until something changes. Use with `using`. */
export interface Spot extends Disposable {
  /** Resolves when the spot was woken (also when that was before this call), the time is over, or the signal aborts. */
  woken(timeoutMs: number, signal: AbortSignal | undefined): Promise<void>
}

/** Where calls are parked. A wake-up is only a hint: who is woken asks again and learns the state as it is (rule 9). */
export class Parking {
  readonly #clock: Clock
  /** By key, then by ticket; the ticket '' is woken by every change. */
  readonly #spots = new Map<Key, Map<string, Set<ParkedSpot>>>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Parks for one ticket of the key, or for any change of it. */
  park(key: Key, ticket = ''): Spot {
    const spot = new ParkedSpot(this.#clock, () => this.#leave(key, ticket, spot))
    const tickets = this.#spots.get(key) ?? new Map<string, Set<ParkedSpot>>()
    this.#spots.set(key, tickets)
    const spots = tickets.get(ticket) ?? new Set<ParkedSpot>()
    tickets.set(ticket, spots)
    spots.add(spot)
    return spot
  }

  /** Wakes the calls parked for these tickets, and those that watch the key. */
  wake(key: Key, tickets: Iterable<string>): void {
    const parked = this.#spots.get(key)
    if (parked === undefined) return
    for (const ticket of ['', ...tickets]) for (const spot of parked.get(ticket) ?? []) spot.wake()
  }

  /** How many calls are parked now. */
  get size(): number {
    let count = 0
    for (const tickets of this.#spots.values()) for (const spots of tickets.values()) count += spots.size
    return count
  }

  #leave(key: Key, ticket: string, spot: ParkedSpot): void {
    const tickets = this.#spots.get(key)
    const spots = tickets?.get(ticket)
    spots?.delete(spot)
    if (spots?.size === 0) tickets?.delete(ticket)
    if (tickets?.size === 0) this.#spots.delete(key)
  }
}

class ParkedSpot implements Spot {
  readonly #clock: Clock
  readonly #leave: () => void
  /** Set by a wake-up that nobody waited for yet, so that none falls between two waits. */
  #pending = false
  #resolve: (() => void) | undefined

  constructor(clock: Clock, leave: () => void) {
    this.#clock = clock
    this.#leave = leave
  }

  wake(): void {
    if (this.#resolve === undefined) this.#pending = true
    else this.#resolve()
  }

  async woken(timeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
    if (!this.#pending && timeoutMs > 0 && signal?.aborted !== true) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#resolve = resolve
      using _timer = this.#clock.schedule(resolve, timeoutMs)
      const aborted = () => resolve()
      signal?.addEventListener('abort', aborted, { once: true })
      await promise
      signal?.removeEventListener('abort', aborted)
      this.#resolve = undefined
    }
    this.#pending = false
  }

  [Symbol.dispose](): void {
    this.#leave()
  }
}
