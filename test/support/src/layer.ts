import { createCipheriv, createHash, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'

import { type Pack, pack } from 'tar-stream'

import { hexOf } from './descriptor.ts'

/** A layer in a file. */
export interface Layer {
  /** Of the file as it is, compressed or not. */
  readonly digest: string
  /** Of the tar archive without compression. */
  readonly diffId: string
  /** Bytes of the file. */
  readonly size: number
  readonly gzip: boolean
  /** The file, named after the digest. */
  readonly path: string
}

/** What layer to make. */
export interface CreateLayerOptions {
  /** Where to put the file. */
  readonly folder: string
  /** Size of the tar archive: a multiple of 512, at least 2,048. Other sizes are rounded up. */
  readonly sizeBytes: number
  /** The same seed and size always make the same layer. */
  readonly seed: string | number
  /** Default false. The content cannot be compressed, so the size hardly changes. */
  readonly gzip?: boolean | undefined
}

const blockBytes = 512
/** One header, and two empty blocks at the end. */
const overheadBytes = 3 * blockBytes
const fixedTime = new Date('2024-01-01T00:00:00Z')

/** Makes a layer with one file of pseudo-random bytes. It is streamed: memory does not grow with the size. */
export async function createLayer(options: CreateLayerOptions): Promise<Layer> {
  const { folder, seed, gzip = false } = options
  const sizeBytes = Math.max(overheadBytes + blockBytes, Math.ceil(options.sizeBytes / blockBytes) * blockBytes)
  const contentBytes = sizeBytes - overheadBytes
  const archive = pack()
  const fill = async (): Promise<void> => {
    const entry = archive.entry({ name: `layer-${seed}.bin`, size: contentBytes, mtime: fixedTime })
    for (const chunk of pseudoRandom(String(seed), contentBytes)) {
      if (!entry.write(chunk)) await once(entry, 'drain')
    }
    entry.end(undefined)
    archive.finalize()
  }
  const [layer] = await Promise.all([writeLayer(archive, { folder, gzip }), fill()])
  return layer
}

/** Stores a tar archive as a layer, hashing on the way. */
export async function writeLayer(
  archive: Pack,
  { folder, gzip }: { readonly folder: string; readonly gzip: boolean },
): Promise<Layer> {
  await mkdir(folder, { recursive: true })
  const temporary = join(folder, `ingest-${randomUUID()}`)
  const plain = createHash('sha256')
  const stored = createHash('sha256')
  let size = 0
  try {
    await pipeline(
      Readable.from(archive as AsyncIterable<Uint8Array>, { objectMode: false }),
      tap((chunk) => plain.update(chunk)),
      // Level 1: for a test, making an image soon matters more than its size.
      gzip ? createGzip({ level: 1 }) : new PassThrough(),
      tap((chunk) => {
        stored.update(chunk)
        size += chunk.length
      }),
      createWriteStream(temporary),
    )
    const digest = `sha256:${stored.digest('hex')}`
    const path = join(folder, hexOf(digest))
    await rename(temporary, path)
    return { digest, diffId: `sha256:${plain.digest('hex')}`, size, gzip, path }
  } finally {
    await rm(temporary, { force: true })
  }
}

function tap(look: (chunk: Uint8Array) => void) {
  return async function* (source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of source) {
      look(chunk)
      yield chunk
    }
  }
}

/** The key stream of AES-256 in counter mode: fast, the same for the same seed, and without any redundancy. */
function* pseudoRandom(seed: string, sizeBytes: number): Generator<Buffer> {
  const key = createHash('sha256').update(seed).digest()
  const cipher = createCipheriv('aes-256-ctr', key, Buffer.alloc(16))
  const zeros = Buffer.alloc(256 * 1024)
  for (let leftBytes = sizeBytes; leftBytes > 0; leftBytes -= zeros.length) {
    yield cipher.update(zeros.subarray(0, Math.min(leftBytes, zeros.length)))
  }
}
