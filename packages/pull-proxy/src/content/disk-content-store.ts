import { randomUUID } from 'node:crypto'
import { type FileHandle, mkdir, open, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Digest, digestParts, isDigest } from '../oci/digest.ts'
import type { Content, ContentStore, Ingest } from './content-store.ts'
import { DiskIngest } from './disk-ingest.ts'

/** A store in the OCI image layout: `blobs/<algorithm>/<hex>`, and `ingest/` for what is still arriving. */
export class DiskContentStore implements ContentStore {
  readonly #folder: string
  /** The sizes of all blobs. */
  readonly #sizes: Map<Digest, number>
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
    const file = await openIfThere(this.#pathOf(digest))
    if (file !== undefined && (await file.stat()).size === size) return new DiskContent(file, size)
    // Somebody else has deleted or changed it.
    await file?.close()
    this.#forget(digest)
    return undefined
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

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve()
  }

  #forget(digest: Digest): void {
    this.#bytes -= this.#sizes.get(digest) ?? 0
    this.#sizes.delete(digest)
  }

  #pathOf(digest: Digest): string {
    const { algorithm, hex } = digestParts(digest)
    return join(this.#folder, 'blobs', algorithm, hex)
  }
}

class DiskContent implements Content {
  readonly size: number
  readonly #file: FileHandle

  constructor(file: FileHandle, size: number) {
    this.#file = file
    this.size = size
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    const { bytesRead } = await this.#file.read(target, 0, target.length, position)
    return bytesRead
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close()
  }
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
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
