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
    const logged = { id: this.idAt(++this.#count), event }
    this.#events.push(logged)
    if (this.#events.length > KEPT_EVENTS * 2) this.#events.splice(0, this.#events.length - KEPT_EVENTS)
    for (const listener of this.#listeners) listener(logged)
  }

  /** How many events there have been. */
  get position(): number {
    return this.#count
  }

  /** The id of the event after which a reader at this position goes on. */
  idAt(position: number): string {
    return `${this.#name}-${position}`
  }

  /** How many events there had been with this one; undefined when some since then are gone, or it never was in this log. */
  positionOf(id: string): number | undefined {
    const [, name, number] = /^(\w+)-(\d+)$/.exec(id) ?? []
    const position = Number(number)
    return name === this.#name && this.#has(position) ? position : undefined
  }

  /** The first events after a position; undefined when some of them are no longer in this log. */
  since(position: number, limit: number): readonly LoggedEvent[] | undefined {
    if (!this.#has(position)) return undefined
    const start = this.#events.length - (this.#count - position)
    return this.#events.slice(start, start + limit)
  }

  #has(position: number): boolean {
    const missing = this.#count - position
    return missing >= 0 && missing <= this.#events.length
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
