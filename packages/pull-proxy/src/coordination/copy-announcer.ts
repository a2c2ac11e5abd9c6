import type { LockClient } from '@layerlock/client'
import type { FastifyBaseLogger } from 'fastify'
import type { ContentId } from '../oci/content-id.ts'

/** The key of a blob. */
export function blobKey(id: ContentId): string {
  return `blob/${id}`
}

const COPIES_PER_CALL = 1_000
/** How long after a failure it is tried again, in milliseconds. */
const RETRY_MS = 5_000

/**
 * Tells the lock server what this node has. What cannot be told now is owed, and told when the server is there again: a
 * blob that was fetched while it was away must not be fetched once more by the next node.
 */
export class CopyAnnouncer implements Disposable {
  readonly #locks: LockClient
  readonly #timeoutMs: number
  readonly #logger: FastifyBaseLogger
  readonly #owed = new Set<ContentId>()
  #paying: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #disposed = false

  constructor(locks: LockClient, timeoutMs: number, logger: FastifyBaseLogger) {
    this.#locks = locks
    this.#timeoutMs = timeoutMs
    this.#logger = logger
  }

  /** Announces copies. Resolves when that has been tried once; never rejects. */
  async announce(ids: Iterable<ContentId>): Promise<void> {
    for (const id of ids) this.#owed.add(id)
    this.#paying ??= this.#pay().finally(() => {
      this.#paying = undefined
      // What came after the last look, and before this one.
      if (this.#owed.size > 0) this.#retryLater()
    })
    await this.#paying
  }

  /** Withdraws copies. What cannot be told is found out by who asks for them. Never rejects. */
  async withdraw(ids: readonly ContentId[]): Promise<void> {
    for (const id of ids) this.#owed.delete(id)
    for (let start = 0; start < ids.length; start += COPIES_PER_CALL) {
      await this.#tell('remove', ids.slice(start, start + COPIES_PER_CALL))
    }
  }

  /** For later: the lock server is known to be away. */
  owe(id: ContentId): void {
    this.#owed.add(id)
    this.#retryLater()
  }

  [Symbol.dispose](): void {
    this.#disposed = true
    clearTimeout(this.#timer)
  }

  async #pay(): Promise<void> {
    while (this.#owed.size > 0 && !this.#disposed) {
      const batch = [...this.#owed].slice(0, COPIES_PER_CALL)
      if (!(await this.#tell('add', batch))) {
        this.#retryLater()
        return
      }
      for (const id of batch) this.#owed.delete(id)
    }
  }

  async #tell(change: 'add' | 'remove', ids: readonly ContentId[]): Promise<boolean> {
    try {
      const signal = AbortSignal.timeout(this.#timeoutMs)
      await this.#locks.updateCopies({ [change]: ids.map(blobKey) }, { signal })
      return true
    } catch (error) {
      this.#logger.debug({ err: error, change, keys: ids.length }, 'copies could not be announced')
      return false
    }
  }

  #retryLater(): void {
    // What comes to be owed later must not put off what is owed already.
    if (this.#disposed || this.#timer !== undefined) return
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      void this.announce([])
    }, RETRY_MS)
    this.#timer.unref()
  }
}
