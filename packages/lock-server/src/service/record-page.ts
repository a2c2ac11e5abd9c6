import { type LockRecord, SHOWN_ENTRIES } from '@layerlock/protocol'
import type { MachineContext } from '../core/context.ts'
import type { KeyRecord } from '../core/record.ts'
import { viewOf } from '../core/view.ts'

/** How many bytes of JSON a page may have; a single record that is larger is a page. */
const PAGE_BYTES = 1024 * 1024

/** The record as anyone may see it, with no more than the first of a long queue, or of very many holders. */
export function shownOf(record: KeyRecord, context: MachineContext): LockRecord {
  const holds = record.holds.slice(0, SHOWN_ENTRIES)
  const queue = record.queue.slice(0, SHOWN_ENTRIES)
  const view = viewOf({ ...record, holds, queue }, context)
  return { ...view, holderCount: record.holds.length, queueLength: record.queue.length }
}

/** Records that go out in one answer. */
export class RecordPage {
  readonly locks: LockRecord[] = []
  readonly #limit: number
  #bytes = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  get isFull(): boolean {
    return this.locks.length >= this.#limit
  }

  /** Takes a record, unless it is too much for this page: then it is for the next one. */
  add(record: LockRecord): boolean {
    const bytes = Buffer.byteLength(JSON.stringify(record))
    if (this.locks.length > 0 && this.#bytes + bytes > PAGE_BYTES) return false
    this.#bytes += bytes
    this.locks.push(record)
    return true
  }
}
