import type { Key } from '@layerlock/protocol'
import { compareKeys } from './key-order.ts'

/** Keys in their order. Adding and removing costs next to nothing; what came since is put in its place at the next look. */
export class SortedKeys {
  #sorted: readonly Key[] = []
  /** Keys that are not among the sorted ones yet. */
  readonly #added = new Set<Key>()
  /** Keys that are still among the sorted ones. */
  readonly #removed = new Set<Key>()

  /** Takes in a key that is not there. */
  add(key: Key): void {
    if (!this.#removed.delete(key)) this.#added.add(key)
  }

  /** Takes out a key that is there. */
  remove(key: Key): void {
    if (!this.#added.delete(key)) this.#removed.add(key)
  }

  /** The first keys with a prefix, after a key. */
  page(prefix: string, after: string | undefined, limit: number): Key[] {
    this.#tidy()
    const fromPrefix = this.#countBefore(prefix, false)
    const from = after === undefined ? fromPrefix : Math.max(fromPrefix, this.#countBefore(after, true))
    const page: Key[] = []
    for (let index = from; index < this.#sorted.length && page.length < limit; index++) {
      const key = this.#sorted[index]!
      if (!key.startsWith(prefix)) break
      if (!this.#removed.has(key)) page.push(key)
    }
    return page
  }

  #tidy(): void {
    if (this.#removed.size * 2 > this.#sorted.length) {
      this.#sorted = this.#sorted.filter((key) => !this.#removed.has(key))
      this.#removed.clear()
    }
    if (this.#added.size === 0) return
    const parts: Key[][] = []
    let from = 0
    for (const key of [...this.#added].toSorted(compareKeys)) {
      const to = this.#countBefore(key, false)
      parts.push(this.#sorted.slice(from, to), [key])
      from = to
    }
    this.#sorted = [...parts, this.#sorted.slice(from)].flat()
    this.#added.clear()
  }

  /** How many sorted keys come before this text; with `inclusive` the text itself is one of them. */
  #countBefore(text: string, inclusive: boolean): number {
    let [low, high] = [0, this.#sorted.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      const order = compareKeys(this.#sorted[middle]!, text)
      if (order < 0 || (inclusive && order === 0)) low = middle + 1
      else high = middle
    }
    return low
  }
}
