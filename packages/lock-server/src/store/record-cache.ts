import type { Key } from '@layerlock/protocol'
import type { Versioned } from './lock-store.ts'

export interface RecordCacheLimits {
  readonly records: number
  /** Of their JSON, all together: parsed, it takes a multiple of that. */
  readonly chars: number
}

const DEFAULT_LIMITS: RecordCacheLimits = { records: 10_000, chars: 8 * 1024 * 1024 }

/** The records that were used last, so that busy keys are not read and parsed at each call. */
export class RecordCache {
  readonly #limits: RecordCacheLimits
  /** A `Map` remembers the order. */
  readonly #entries = new Map<Key, { readonly versioned: Versioned; readonly chars: number }>()
  #chars = 0

  constructor(limits = DEFAULT_LIMITS) {
    this.#limits = limits
  }

  get size(): number {
    return this.#entries.size
  }

  get(key: Key): Versioned | undefined {
    return this.#entries.get(key)?.versioned
  }

  /** @param chars how long the record's JSON is */
  set(key: Key, versioned: Versioned, chars: number): void {
    this.delete(key)
    this.#entries.set(key, { versioned, chars })
    this.#chars += chars
    while (this.#entries.size > this.#limits.records || this.#chars > this.#limits.chars) {
      this.delete(this.#entries.keys().next().value!)
    }
  }

  delete(key: Key): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    this.#chars -= entry.chars
    this.#entries.delete(key)
  }
}
