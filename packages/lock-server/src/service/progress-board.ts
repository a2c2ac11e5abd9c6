import type { Key, Progress } from '@layerlock/protocol'
import type { KeyRecord } from '../core/record.ts'

/** How far holders and waiters say they are. Shown to others, never persisted: a restart simply forgets it. */
export class ProgressBoard {
  readonly #byKey = new Map<Key, Map<string, Progress>>()

  set(key: Key, ticket: string, progress: Progress): void {
    const tickets = this.#byKey.get(key) ?? new Map<string, Progress>()
    this.#byKey.set(key, tickets.set(ticket, progress))
  }

  get(key: Key, ticket: string): Progress | undefined {
    return this.#byKey.get(key)?.get(ticket)
  }

  /** Drops what tickets said that the record has no longer. */
  prune(key: Key, record: KeyRecord | undefined): void {
    const tickets = this.#byKey.get(key)
    if (tickets === undefined) return
    const current = new Set([...(record?.holds ?? []), ...(record?.queue ?? [])].map((entry) => entry.ticket))
    for (const ticket of tickets.keys()) if (!current.has(ticket)) tickets.delete(ticket)
    if (tickets.size === 0) this.#byKey.delete(key)
  }
}
