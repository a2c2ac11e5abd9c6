/** Says, once, that the server stops: from then on nobody waits, and no stream goes on. */
export class Drain {
  readonly #listeners = new Set<() => void>()
  #begun = false

  get hasBegun(): boolean {
    return this.#begun
  }

  begin(): void {
    this.#begun = true
    for (const listener of this.#listeners) listener()
    this.#listeners.clear()
  }

  /** Calls the listener when the drain begins; at once when it has. */
  onBegin(listener: () => void): Disposable {
    if (this.#begun) listener()
    else this.#listeners.add(listener)
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) }
  }
}
