import { randomUUID } from 'node:crypto'
import { mkdir, open, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { LRUCache } from 'lru-cache'
import { type ContentId, digestOfId } from '../oci/content-id.ts'
import { digestParts } from '../oci/digest.ts'
import { blobFolder, findBlobs } from './blob-folders.ts'
import type { Content, ContentStore, Ingest } from './content-store.ts'
import { DiskIngest } from './disk-ingest.ts'
import { type OpenFile, OpenFiles } from './open-files.ts'

/** Blobs of up to this size, such as configs, are kept in memory when they have been read, in bytes. */
const SMALL_BYTES = 64 * 1024
/** What small blobs may take in all, in bytes. */
const MAX_SMALL_BYTES = 8 * 1024 * 1024

/**
 * A store in the OCI image layout: `blobs/<algorithm>/<hex>`, and `ingest/` for what is still arriving. Content that is
 * kept apart lies beside it, in `private/`.
 */
export class DiskContentStore implements ContentStore {
  readonly #folder: string
  /** The sizes of all blobs. */
  readonly #sizes: Map<ContentId, number>
  readonly #files = new OpenFiles()
  readonly #small = new LRUCache<ContentId, Buffer>({
    maxSize: MAX_SMALL_BYTES,
    sizeCalculation: ({ length }) => length + 200,
  })
  #bytes = 0

  private constructor(folder: string, sizes: Map<ContentId, number>) {
    this.#folder = folder
    this.#sizes = sizes
    for (const size of sizes.values()) this.#bytes += size
  }

  /** Opens the store in a folder, which is made if need be. What an earlier process left half-written is removed. */
  static async open(folder: string): Promise<DiskContentStore> {
    const ingest = join(folder, 'ingest')
    await rm(ingest, { recursive: true, force: true })
    await mkdir(ingest, { recursive: true })
    for (const name of ['blobs/sha256', 'private']) await mkdir(join(folder, name), { recursive: true })
    await writeFile(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}\n')
    return new DiskContentStore(folder, await findBlobs(folder))
  }

  has(id: ContentId): boolean {
    return this.#sizes.has(id)
  }

  async open(id: ContentId): Promise<Content | undefined> {
    const size = this.#sizes.get(id)
    if (size === undefined) return undefined
    const kept = this.#small.get(id)
    if (kept !== undefined) return new MemoryContent(kept)
    const file = await this.#files.open(this.#pathOf(id))
    if (file?.size !== size) {
      // Somebody else has deleted or changed it.
      await file?.release()
      this.#forget(id)
      return undefined
    }
    // It may have been deleted meanwhile; then nothing else would make it close.
    if (!this.#sizes.has(id)) this.#forget(id)
    const content = new DiskContent(file)
    if (size > SMALL_BYTES) return content
    await using small = content
    const bytes = Buffer.allocUnsafeSlow(size)
    for (let done = 0; done < size;) {
      const count = await small.read(bytes.subarray(done), done)
      if (count === 0) throw new Error(`${id} ends at ${done}, before ${size}`)
      done += count
    }
    // It may have been deleted meanwhile.
    if (this.#sizes.get(id) === size) this.#small.set(id, bytes)
    this.#files.forget(this.#pathOf(id))
    return new MemoryContent(bytes)
  }

  async ingest(id: ContentId): Promise<Ingest> {
    const digest = digestOfId(id)
    const { algorithm, hex } = digestParts(digest)
    const path = join(this.#folder, 'ingest', `${algorithm}-${hex}.${randomUUID()}`)
    await mkdir(blobFolder(this.#folder, id), { recursive: true })
    const onCommitted = (size: number) => {
      this.#forget(id)
      this.#sizes.set(id, size)
      this.#bytes += size
    }
    const file = await open(path, 'wx+')
    return new DiskIngest({ digest, file, path, committedPath: this.#pathOf(id), onCommitted })
  }

  async delete(id: ContentId): Promise<void> {
    this.#forget(id)
    await rm(this.#pathOf(id), { force: true })
  }

  ids(): Iterable<ContentId> {
    return this.#sizes.keys()
  }

  totals(): { blobs: number; bytes: number } {
    return { blobs: this.#sizes.size, bytes: this.#bytes }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#files[Symbol.asyncDispose]()
  }

  #forget(id: ContentId): void {
    this.#bytes -= this.#sizes.get(id) ?? 0
    this.#sizes.delete(id)
    this.#small.delete(id)
    this.#files.forget(this.#pathOf(id))
  }

  #pathOf(id: ContentId): string {
    return join(blobFolder(this.#folder, id), digestParts(digestOfId(id)).hex)
  }
}

class DiskContent implements Content {
  readonly size: number
  readonly shared: object
  readonly #file: OpenFile

  constructor(file: OpenFile) {
    this.#file = file
    this.size = file.size
    this.shared = file
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    const { bytesRead } = await this.#file.handle.read(target, 0, target.length, position)
    return bytesRead
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.release()
  }
}

class MemoryContent implements Content {
  readonly size: number
  readonly shared: object
  readonly #bytes: Buffer

  constructor(bytes: Buffer) {
    this.size = bytes.length
    this.shared = bytes
    this.#bytes = bytes
  }

  read(target: Uint8Array, position: number): Promise<number> {
    return Promise.resolve(this.#bytes.copy(target, 0, Math.min(position, this.size)))
  }

  take(position: number): Promise<Buffer | undefined> {
    return Promise.resolve(position < this.size ? this.#bytes.subarray(position) : undefined)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve()
  }
}
