import type { DatabaseSync, StatementSync } from 'node:sqlite'

/** A change that waits for the transaction of this turn of the event loop. */
interface Change {
  readonly apply: () => void
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

export interface CommitQueueOptions {
  /** Called inside the transaction, after its changes. */
  readonly beforeCommit: () => void
  /** Called after the transaction was committed, or rolled back, and before anyone learns of it. */
  readonly onEnd: (committed: boolean) => void
}

/**
 * Group commit: all changes of one turn of the event loop go into one transaction, which is on disk before any of them
 * resolves. So durability costs one sync a turn, however many changes there are.
 */
export class CommitQueue {
  readonly #options: CommitQueueOptions
  readonly #begin: StatementSync
  readonly #commit: StatementSync
  readonly #database: DatabaseSync
  #changes: Change[] = []
  #flushed: Promise<void> | undefined

  constructor(database: DatabaseSync, options: CommitQueueOptions) {
    this.#database = database
    this.#options = options
    this.#begin = database.prepare('BEGIN IMMEDIATE')
    this.#commit = database.prepare('COMMIT')
  }

  /** Resolves when the change is on disk; rejects when the whole transaction was rolled back. */
  add(apply: () => void): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#changes.push({ apply, resolve, reject })
    this.#flushed ??= new Promise((flushed) => {
      setImmediate(() => {
        this.#flushed = undefined
        this.#flush()
        flushed()
      })
    })
    return promise
  }

  /** Resolves when nothing waits any more. */
  async idle(): Promise<void> {
    while (this.#flushed !== undefined) await this.#flushed
  }

  /** Writes everything that was changed in this turn, or nothing of it. */
  #flush(): void {
    const changes = this.#changes
    this.#changes = []
    try {
      this.#begin.run()
      for (const { apply } of changes) apply()
      this.#options.beforeCommit()
      this.#commit.run()
    } catch (error) {
      if (this.#database.isOpen && this.#database.isTransaction) this.#database.exec('ROLLBACK')
      this.#options.onEnd(false)
      for (const { reject } of changes) reject(error)
      return
    }
    this.#options.onEnd(true)
    for (const { resolve } of changes) resolve()
  }
}
