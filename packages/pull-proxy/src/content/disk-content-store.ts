import { randomUUID } from 'node:crypto'
import { mkdir, open, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { LRUCache } from 'lru-cache'
import { type Digest, digestParts, isDigest } from '../oci/digest.ts'
import type { Content, ContentStore, Ingest } from './content-store.ts'
import { DiskIngest } from './disk-ingest.ts'
import { type OpenFile, OpenFiles } from './open-files.ts'

/** Blobs of up to this size, such as configs, are kept in memory when they have been read, in bytes. */
const SMALL_BYTES = 64 * 1024
/** What small blobs may take in all, in bytes. */
const MAX_SMALL_BYTES = 8 * 1024 * 1024

/** A store in the OCI image layout: `blobs/<algorithm>/<hex>`, and `ingest/` for what is still arriving. */
export class DiskContentStore implements ContentStore {
  readonly #folder: string
  /** The sizes of all blobs. */
  readonly #sizes: Map<Digest, number>
  readonly #files = new OpenFiles()
  readonly #small = new LRUCache<Digest, Buffer>({
    maxSize: MAX_SMALL_BYTES,
    sizeCalculation: ({ length }) => length + 200,
  })
  #bytes = 0

  private constructor(folder: string, sizes: Map<Digest, number>) {
    this.#folder = folder
    this.#sizes = sizes
    for (const size of sizes.values()) this.#bytes += size
  }

  /** Opens the store in a folder, which is made if need be. What an earlier process left half-written is removed. */
  static async open(folder: string): Promise<DiskContentStore> {
    const ingest = join(folder, 'ingest')
    await rm(ingest, { recursive: true, force: true })
    await mkdir(ingest, { recursive: true })
    await mkdir(join(folder, 'blobs', 'sha256'), { recursive: true })
    await writeFile(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}\n')
    return new DiskContentStore(folder, await findBlobs(join(folder, 'blobs')))
  }

  has(digest: Digest): boolean {
    return this.#sizes.has(digest)
  }

  async open(digest: Digest): Promise<Content | undefined> {
    const size = this.#sizes.get(digest)
    if (size === undefined) return undefined
    const kept = this.#small.get(digest)
    if (kept !== undefined) return new MemoryContent(kept)
    const file = await this.#files.open(this.#pathOf(digest))
    if (file?.size !== size) {
      // Somebody else has deleted or changed it.
      await file?.release()
      this.#forget(digest)
      return undefined
    }
    // It may have been deleted meanwhile; then nothing else would make it close.
    if (!this.#sizes.has(digest)) this.#forget(digest)
    const content = new DiskContent(file)
    if (size > SMALL_BYTES) return content
    await using small = content
    const bytes = Buffer.allocUnsafeSlow(size)
    for (let done = 0; done < size;) {
      const count = await small.read(bytes.subarray(done), done)
      if (count === 0) throw new Error(`${digest} ends at ${done}, before ${size}`)
      done += count
    }
    // It may have been deleted meanwhile.
    if (this.#sizes.get(digest) === size) this.#small.set(digest, bytes)
    this.#files.forget(this.#pathOf(digest))
    return new MemoryContent(bytes)
  }

  async ingest(digest: Digest): Promise<Ingest> {
    const { algorithm, hex } = digestParts(digest)
    const path = join(this.#folder, 'ingest', `${algorithm}-${hex}.${randomUUID()}`)
    await mkdir(join(this.#folder, 'blobs', algorithm), { recursive: true })
    const onCommitted = (size: number) => {
      this.#forget(digest)
      this.#sizes.set(digest, size)
      this.#bytes += size
    }
    const file = await open(path, 'wx+')
    return new DiskIngest({ digest, file, path, committedPath: this.#pathOf(digest), onCommitted })
  }

  async delete(digest: Digest): Promise<void> {
    this.#forget(digest)
    await rm(this.#pathOf(digest), { force: true })
  }

  digests(): Iterable<Digest> {
    return this.#sizes.keys()
  }

  totals(): { blobs: number; bytes: number } {
    return { blobs: this.#sizes.size, bytes: this.#bytes }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#files[Symbol.asyncDispose]()
  }

  #forget(digest: Digest): void {
    this.#bytes -= this.#sizes.get(digest) ?? 0
    this.#sizes.delete(digest)
    this.#small.delete(digest)
    this.#files.forget(this.#pathOf(digest))
  }

  #pathOf(digest: Digest): string {
    const { algorithm, hex } = digestParts(digest)
    return join(this.#folder, 'blobs', algorithm, hex)
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
  readonly bytes: Buffer

  constructor(bytes: Buffer) {
    this.size = bytes.length
    this.bytes = bytes
  }

  read(target: Uint8Array, position: number): Promise<number> {
    return Promise.resolve(this.bytes.copy(target, 0, Math.min(position, this.size)))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve()
  }
}

async function findBlobs(folder: string): Promise<Map<Digest, number>> {
  const sizes = new Map<Digest, number>()
  const algorithms = await readdir(folder, { withFileTypes: true })
  for (const { name: algorithm } of algorithms.filter((entry) => entry.isDirectory())) {
    const blobs = await readdir(join(folder, algorithm), { withFileTypes: true })
    for (const { name: hex } of blobs.filter((entry) => entry.isFile())) {
      const digest = `${algorithm}:${hex}`
      if (isDigest(digest)) sizes.set(digest, (await stat(join(folder, algorithm, hex))).size)
    }
  }
  return sizes
}
