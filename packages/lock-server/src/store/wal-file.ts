import { closeSync, fdatasync, fdatasyncSync, fstatSync, fsyncSync, ftruncateSync, openSync, writeSync } from 'node:fs'

/**
 * The write-ahead log of a SQLite database, to be synced by us: after a COMMIT its frames are in the file, and after a
 * sync they are on the disk. SQLite itself would do no more (`synchronous = FULL`), but on the thread that serves calls,
 * and with `fsync`, which writes the time of the change as well.
 *
 * Opening it a second time is safe, for SQLite's locks are on the database file (closing one of several descriptors of a
 * file ends a process's POSIX locks on it).
 */
export class WalFile implements Disposable {
  readonly #path: string
  #descriptor: number | undefined

  /** @param database the path of the database; its log need not exist yet */
  constructor(database: string) {
    this.#path = `${database}-wal`
  }

  /**
   * Fills the file up with zeros, which are no valid frames to SQLite: to sync what is written over existing blocks takes
   * half the time of what makes the file grow. Where there is no room for it, it stays as it is.
   */
  preallocate(bytes: number): void {
    const descriptor = this.#open()
    const { size } = fstatSync(descriptor)
    try {
      const zeros = Buffer.alloc(Math.max(0, bytes - size))
      for (let written = 0; written < zeros.length;) {
        written += writeSync(descriptor, zeros, written, zeros.length - written, size + written)
      }
    } catch (error) {
      if (!['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
      ftruncateSync(descriptor, size)
    }
    // What another process has left in the log, and was read from it, may not have been on disk yet.
    fsyncSync(descriptor)
  }

  syncNow(): void {
    fdatasyncSync(this.#open())
  }

  sync(done: (error: Error | null) => void): void {
    fdatasync(this.#open(), done)
  }

  [Symbol.dispose](): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor)
    this.#descriptor = undefined
  }

  #open(): number {
    this.#descriptor ??= openSync(this.#path, 'r+')
    return this.#descriptor
  }
}
