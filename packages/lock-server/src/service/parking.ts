import type { Key } from '@layerlock/protocol'
import type { AcquireCommand, AcquireResult } from '../core/acquire.ts'
import type { Clock } from './clock.ts'

/** A call that waits for a better answer than the one that it has. */
export interface ParkedAsk {
  readonly command: AcquireCommand
  /** Whether the caller has gone: nobody reads what it is told. */
  readonly isGone: boolean
  /** Gives the call its answer; false when it waits no longer. */
  answer(result: AcquireResult): boolean
  refuse(error: unknown): void
}

/** A place for one call, from before it asks for the first time. Use with `using`. */
export interface Spot<T> extends Disposable {
  /**
   * Waits. Resolves with what the call was told meanwhile; with undefined when it should look for itself: there was a
   * change (also one before this call), the time is over, or the signal aborted.
   */
  woken(timeoutMs: number, signal: AbortSignal | undefined): Promise<T | undefined>
}

/**
 * Where calls are parked. Those for a ticket are answered by whoever changes the key, in the very same write; all else
 * is only a hint, upon which the call asks again and learns the state as it is (rule 9).
 */
export class Parking {
  readonly #clock: Clock
  readonly #asks = new Map<Key, Map<string, Set<ParkedSpot<AcquireResult>>>>()
  readonly #watchers = new Map<Key, Set<ParkedSpot<never>>>()
  #size = 0
  #draining = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Parks a call that asks for a ticket. */
  park(key: Key, command: AcquireCommand): Spot<AcquireResult> {
    const tickets = entry(this.#asks, key, () => new Map<string, Set<ParkedSpot<AcquireResult>>>())
    const spots = entry(tickets, command.ticket, () => new Set<ParkedSpot<AcquireResult>>())
    const spot = new ParkedSpot<AcquireResult>(this.#clock, command, () => {
      this.#size--
      spots.delete(spot)
      // Others may have come to the same place since it was emptied, in a set of their own.
      if (spots.size === 0 && tickets.get(command.ticket) === spots) tickets.delete(command.ticket)
      if (tickets.size === 0 && this.#asks.get(key) === tickets) this.#asks.delete(key)
    })
    return this.#enter(spots, spot)
  }

  /** Parks a call that watches a key. */
  watch(key: Key): Spot<never> {
    const spots = entry(this.#watchers, key, () => new Set<ParkedSpot<never>>())
    const spot = new ParkedSpot<never>(this.#clock, undefined, () => {
      this.#size--
      spots.delete(spot)
      if (spots.size === 0 && this.#watchers.get(key) === spots) this.#watchers.delete(key)
    })
    return this.#enter(spots, spot)
  }

  /** The calls that wait for a ticket right now, to be answered in passing. */
  *waiting(key: Key, ticket: string): Iterable<ParkedAsk> {
    for (const spot of this.#asks.get(key)?.get(ticket) ?? []) if (spot.isWaiting) yield spot as ParkedAsk
  }

  /** After a change: wakes those who watch the key, and tells calls that are on their way to ask once more. */
  wake(key: Key, tickets: Iterable<string>): void {
    for (const spot of this.#watchers.get(key) ?? []) spot.wake()
    const parked = this.#asks.get(key)
    if (parked === undefined) return
    for (const ticket of tickets) for (const spot of parked.get(ticket) ?? []) if (!spot.isWaiting) spot.wake()
  }

  /** From here on nobody waits: all calls look at once, and answer with what they see. */
  drain(): void {
    this.#draining = true
    for (const tickets of this.#asks.values()) for (const spots of tickets.values()) for (const s of spots) s.close()
    for (const spots of this.#watchers.values()) for (const spot of spots) spot.close()
  }

  get isDraining(): boolean {
    return this.#draining
  }

  /** How many calls are parked now. */
  get size(): number {
    return this.#size
  }

  #enter<T>(spots: Set<ParkedSpot<T>>, spot: ParkedSpot<T>): Spot<T> {
    this.#size++
    spots.add(spot)
    if (this.#draining) spot.close()
    return spot
  }
}

function entry<K, V>(map: Map<K, V>, key: K, create: () => V): V {
  const found = map.get(key)
  if (found !== undefined) return found
  const created = create()
  map.set(key, created)
  return created
}

class ParkedSpot<T> implements Spot<T> {
  readonly command: AcquireCommand | undefined
  readonly #clock: Clock
  readonly #leave: () => void
  /** Set by a wake-up that nobody waited for yet, so that none falls between two waits. */
  #pending = false
  #closed = false
  #signal: AbortSignal | undefined
  #settle: { resolve: (result: T | undefined) => void; reject: (error: unknown) => void } | undefined

  constructor(clock: Clock, command: AcquireCommand | undefined, leave: () => void) {
    this.#clock = clock
    this.command = command
    this.#leave = leave
  }

  get isWaiting(): boolean {
    return this.#settle !== undefined
  }

  get isGone(): boolean {
    return this.#signal?.aborted === true
  }

  answer(result: T): boolean {
    const settle = this.#take()
    settle?.resolve(result)
    return settle !== undefined
  }

  refuse(error: unknown): void {
    this.#take()?.reject(error)
  }

  wake(): void {
    if (this.#settle === undefined) this.#pending = true
    else this.#take()?.resolve(undefined)
  }

  close(): void {
    this.#closed = true
    this.wake()
  }

  async woken(timeoutMs: number, signal: AbortSignal | undefined): Promise<T | undefined> {
    if (this.#pending || this.#closed || timeoutMs <= 0 || signal?.aborted === true) {
      this.#pending = false
      return undefined
    }
    const { promise, resolve, reject } = Promise.withResolvers<T | undefined>()
    this.#settle = { resolve, reject }
    this.#signal = signal
    const over = () => this.#take()?.resolve(undefined)
    using _timer = this.#clock.schedule(over, timeoutMs)
    // Taken off at once: who has gone must not be given anything any more.
    signal?.addEventListener('abort', over, { once: true })
    try {
      return await promise
    } finally {
      signal?.removeEventListener('abort', over)
    }
  }

  #take() {
    const settle = this.#settle
    this.#settle = undefined
    return settle
  }

  [Symbol.dispose](): void {
    this.#leave()
  }
}
