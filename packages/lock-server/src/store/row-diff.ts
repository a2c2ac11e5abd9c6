import type { Key } from '@layerlock/protocol'

/** An entry of a list. Never changed in place: what has changed is another object. */
export interface Entry {
  readonly ticket: string
  readonly session: string
}

/** Where the rows of a list are. */
export interface RowSink {
  insert(key: Key, id: number, value: string): void
  update(key: Key, id: number, value: string): void
  delete(key: Key, id: number): void
}

/**
 * Which row each entry has. Ids only grow, and the order of a list is that of its rows' ids. What was given out in a
 * transaction that is rolled back is taken back.
 */
export class RowIds {
  readonly #ids = new WeakMap<Entry, number>()
  #journal: { readonly entry: Entry; readonly before: number | undefined }[] = []
  #last: number

  constructor(last: number) {
    this.#last = last
  }

  get(entry: Entry): number | undefined {
    return this.#ids.get(entry)
  }

  /** Takes note of a row that was read. */
  learn(entry: Entry, id: number): void {
    this.#ids.set(entry, id)
  }

  assign(entry: Entry, id = ++this.#last): number {
    this.#journal.push({ entry, before: this.#ids.get(entry) })
    this.#ids.set(entry, id)
    return id
  }

  end(committed: boolean): void {
    const journal = this.#journal
    this.#journal = []
    if (committed) return
    for (const { entry, before } of journal.toReversed()) {
      if (before === undefined) this.#ids.delete(entry)
      else this.#ids.set(entry, before)
    }
  }
}

/** Makes the rows of one list those of another: what both have stays, in whichever objects it comes. */
export function writeRows<T extends Entry>(
  key: Key,
  { before, after }: { readonly before: readonly T[]; readonly after: readonly T[] },
  { ids, sink }: { readonly ids: RowIds; readonly sink: RowSink },
): void {
  if (before === after) return
  let kept = 0
  for (const old of before) {
    const next = after[kept]
    if (old === next) {
      kept++
      continue
    }
    const id = ids.get(old)
    if (id === undefined) throw new Error(`an entry of ${key} was never written`)
    const nextId = next === undefined ? undefined : ids.get(next)
    if (nextId === id) {
      kept++
    } else if (next !== undefined && nextId === undefined && isSame(old, next)) {
      sink.update(key, ids.assign(next, id), JSON.stringify(next))
      kept++
    } else {
      sink.delete(key, id)
    }
  }
  for (let index = kept; index < after.length; index++) {
    const entry = after[index]!
    sink.insert(key, ids.assign(entry), JSON.stringify(entry))
  }
}

/** Whether the two are one entry, changed. */
function isSame(one: Entry, other: Entry): boolean {
  return one.ticket === other.ticket && one.session === other.session
}
