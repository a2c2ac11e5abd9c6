import { randomUUID } from 'node:crypto'
import type { LockEvent } from '@layerlock/protocol'

/** An event with the id by which a reader that was cut off resumes. */
export interface LoggedEvent {
  readonly id: string
  readonly event: LockEvent
}

/** How many events are kept for readers that come back. */
const KEPT_EVENTS = 10_000

/**
 * The last events, and those who listen. Ids hold this log's name, so that one of an earlier life of the server is never
 * mistaken for one of this life: its reader is told that events are missing.
 */
export class EventLog {
  readonly #name = randomUUID().slice(0, 8)
  readonly #events: LoggedEvent[] = []
  readonly #listeners = new Set<(event: LoggedEvent) => void>()
  #count = 0

  append(event: LockEvent): void {
    const logged = { id: `${this.#name}-${++this.#count}`, event }
    this.#events.push(logged)
    if (this.#events.length > KEPT_EVENTS * 2) this.#events.splice(0, this.#events.length - KEPT_EVENTS)
    for (const listener of this.#listeners) listener(logged)
  }

  /** The events after this one; undefined when some of them are no longer, or never were, in this log. */
  after(id: string): readonly LoggedEvent[] | undefined {
    const [, name, number] = /^([\w]+)-(\d+)$/.exec(id) ?? []
    const missing = this.#count - Number(number)
    if (name !== this.#name || !(missing >= 0 && missing <= this.#events.length)) return undefined
    return missing === 0 ? [] : this.#events.slice(-missing)
  }

  /** Whether anyone would notice an event. */
  get isWatched(): boolean {
    return this.#listeners.size > 0
  }

  listen(listener: (event: LoggedEvent) => void): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) }
  }
}
