import type { Hash } from 'node:crypto'
import { type FileHandle, rename, rm } from 'node:fs/promises'
import { createDigestHash, type Digest, digestParts } from '../oci/digest.ts'
import type { Ingest } from './content-store.ts'

export interface DiskIngestOptions {
  readonly digest: Digest
  /** Open for reading and writing. */
  readonly file: FileHandle
  readonly path: string
  readonly committedPath: string
  readonly onCommitted: (size: number) => void
}

/** An ingest file: hashed while it is written, renamed into place when it is right. */
export class DiskIngest implements Ingest {
  readonly #options: DiskIngestOptions
  #hash: Hash
  #written = 0
  /** The writer counts as one. */
  #users = 1

  constructor(options: DiskIngestOptions) {
    this.#options = options
    this.#hash = createDigestHash(options.digest)
  }

  get written(): number {
    return this.#written
  }

  async append(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length;) {
      const left = bytes.length - done
      const { bytesWritten } = await this.#options.file.write(bytes, done, left, this.#written + done)
      done += bytesWritten
    }
    // Only now: what could not be written, and is sent again, must not be hashed twice.
    this.#hash.update(bytes)
    this.#written += bytes.length
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    const length = Math.max(0, Math.min(target.length, this.#written - position))
    const { bytesRead } = await this.#options.file.read(target, 0, length, position)
    return bytesRead
  }

  matches(): boolean {
    return this.#hash.copy().digest('hex') === digestParts(this.#options.digest).hex
  }

  async restart(): Promise<void> {
    this.#hash = createDigestHash(this.#options.digest)
    this.#written = 0
    await this.#options.file.truncate(0)
  }

  async commit(): Promise<void> {
    const { file, path, committedPath, onCommitted } = this.#options
    // A rename may survive a power cut that the bytes do not; then a wrong blob would be visible.
    await file.datasync()
    await rename(path, committedPath)
    onCommitted(this.#written)
  }

  async discard(): Promise<void> {
    await rm(this.#options.path, { force: true })
  }

  retain(): void {
    this.#users++
  }

  async release(): Promise<void> {
    if (--this.#users === 0) await this.#options.file.close()
  }
}
