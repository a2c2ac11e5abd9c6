/** Pieces of work that must not overlap: those of one name run one after another, in the order in which they came. */
export class Turns {
  readonly #last = new Map<string, Promise<void>>()

  /** Runs the work after all that has its name; fails as the work does, which holds up nobody. */
  async take<T>(name: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(name)
    const { promise: over, resolve } = Promise.withResolvers<void>()
    this.#last.set(name, over)
    try {
      await before
      return await work()
    } finally {
      resolve()
      if (this.#last.get(name) === over) this.#last.delete(name)
    }
  }
}
