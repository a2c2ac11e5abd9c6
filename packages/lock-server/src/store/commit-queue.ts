import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { WalFile } from './wal-file.ts'

/** One change, within a transaction that it shares with others. */
export interface Change {
  /** Writes it. */
  readonly apply: () => void
  /** Called before anyone learns of it: whether it is on disk, or was not made. */
  readonly ended: (durable: boolean) => void
}

interface Waiting extends Change {
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

export interface CommitQueueOptions {
  readonly database: DatabaseSync
  readonly log: Pick<WalFile, 'sync' | 'syncNow'>
  /** Called inside the transaction, after its changes. */
  readonly beforeCommit: () => void
  /** Called when the transaction was committed or rolled back. */
  readonly afterCommit: (committed: boolean) => void
}

/** Up to so many changes are synced on the spot: nobody else has much to do meanwhile, and a thread takes time to wake. */
const ON_THE_SPOT = 4

/**
 * Group commit: all changes of one turn of the event loop go into one transaction, and no change resolves before it is on
 * disk. What comes while a transaction is synced waits for the next one, so that the load makes transactions larger, not
 * more of them.
 */
export class CommitQueue {
  readonly #options: CommitQueueOptions
  readonly #begin: StatementSync
  readonly #commit: StatementSync
  #changes: Waiting[] = []
  /** Whether a transaction is due, is being made or is being synced. */
  #busy = false
  /** Set by a sync that failed: what the disk has is not known any more, so nothing is promised from then on. */
  #failure: Error | undefined
  #onIdle: (() => void)[] = []

  constructor(options: CommitQueueOptions) {
    this.#options = options
    this.#begin = options.database.prepare('BEGIN IMMEDIATE')
    this.#commit = options.database.prepare('COMMIT')
  }

  /** Why no change is made any more; undefined while they are. */
  get failure(): Error | undefined {
    return this.#failure
  }

  /** Resolves when the change is on disk; rejects when it was not made, or nobody knows. */
  add(change: Change): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#changes.push({ ...change, resolve, reject })
    if (!this.#busy) this.#schedule()
    return promise
  }

  /** Resolves when nothing waits any more. */
  idle(): Promise<void> {
    return this.#busy ? new Promise((resolve) => this.#onIdle.push(resolve)) : Promise.resolve()
  }

  #schedule(): void {
    this.#busy = true
    setImmediate(() => {
      const changes = this.#changes
      this.#changes = []
      this.#write(changes)
    })
  }

  /** Writes all of these changes, or none. */
  #write(changes: readonly Waiting[]): void {
    const { database, beforeCommit, afterCommit } = this.#options
    try {
      if (this.#failure !== undefined) throw this.#failure
      this.#begin.run()
      for (const { apply } of changes) apply()
      beforeCommit()
      this.#commit.run()
    } catch (error) {
      if (database.isOpen && database.isTransaction) database.exec('ROLLBACK')
      afterCommit(false)
      this.#end(changes, error)
      return
    }
    afterCommit(true)
    this.#sync(changes)
  }

  #sync(changes: readonly Waiting[]): void {
    const { log } = this.#options
    if (changes.length > ON_THE_SPOT) {
      log.sync((error) => this.#synced(changes, error))
      return
    }
    let failure: unknown
    try {
      log.syncNow()
    } catch (error) {
      failure = error
    }
    this.#synced(changes, failure)
  }

  #synced(changes: readonly Waiting[], error: unknown): void {
    if (error instanceof Error) {
      this.#failure = new Error('the disk failed; start anew when it is well', { cause: error })
    }
    this.#end(changes, this.#failure)
  }

  #end(changes: readonly Waiting[], error: unknown): void {
    this.#busy = false
    // Before those who waited go on, for what they change next comes after it.
    if (this.#changes.length > 0) this.#schedule()
    for (const { ended } of changes) ended(error === undefined)
    for (const { resolve, reject } of changes) {
      if (error === undefined) resolve()
      else reject(error)
    }
    if (!this.#busy) for (const tell of this.#onIdle.splice(0)) tell()
  }
}
