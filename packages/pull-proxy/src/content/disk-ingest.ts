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

  async append(...chunks: Uint8Array[]): Promise<void> {
    const size = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
    for (let done = 0; done < size;) {
      const { bytesWritten } = await this.#options.file.writev(rest(chunks, done), this.#written + done)
      done += bytesWritten
    }
    // Only now: what could not be written, and is sent again, must not be hashed twice.
    for (const chunk of chunks) this.#hash.update(chunk)
    this.#written += size
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

/** The chunks without their first bytes: a write may take a part only. */
function rest(chunks: Uint8Array[], skip: number): Uint8Array[] {
  if (skip === 0) return chunks
  let left = skip
  return chunks.flatMap((chunk) => {
    const kept = chunk.subarray(Math.min(left, chunk.length))
    left -= chunk.length - kept.length
    return kept.length === 0 ? [] : [kept]
  })
}
