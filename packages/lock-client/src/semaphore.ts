import { checkKey, checkLimit } from './argument-checks.ts'
import type { AcquireOptions } from './call-options.ts'
import type { Lease } from './lease.ts'

/** What can be asked of a semaphore: as of a key, but for the limit, which it has. */
export type SemaphoreOptions = Omit<AcquireOptions, 'limit'>

interface Acquiring {
  acquire(key: string, options: AcquireOptions): Promise<Lease>
  tryAcquire(key: string, options: AcquireOptions): Promise<Lease | undefined>
}

/** A key that up to `limit` may hold at a time. All its users must name the same limit. */
export class Semaphore {
  readonly key: string
  readonly limit: number
  readonly #locks: Acquiring

  /** @throws {TypeError} when the key or the limit is not allowed */
  constructor(locks: Acquiring, key: string, limit: number) {
    checkKey(key)
    checkLimit(limit ?? Number.NaN)
    this.#locks = locks
    this.key = key
    this.limit = limit
  }

  /**
   * Waits for one of the places. Throws as `LockClient.acquire` does, and:
   *
   * @throws {LockError} `limit_mismatch` while others use the key with another limit
   */
  acquire(options: SemaphoreOptions = {}): Promise<Lease> {
    return this.#locks.acquire(this.key, { ...options, limit: this.limit })
  }

  /** Takes a place if one is free now; undefined if none is. */
  tryAcquire(options: SemaphoreOptions = {}): Promise<Lease | undefined> {
    return this.#locks.tryAcquire(this.key, { ...options, limit: this.limit })
  }
}
