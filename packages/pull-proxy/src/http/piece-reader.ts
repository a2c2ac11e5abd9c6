import type { ChunkPool } from '../content/chunk-pool.ts'
import type { Content } from '../content/content-store.ts'

/** Bytes on their way to one client. */
export interface Piece {
  readonly bytes: Buffer
  /** They have gone out; their memory may be used for others. */
  readonly release: () => void
}

/** Shorter reads do not take a chunk of the pool: they would use a small part of it. */
const MIN_SHARED_BYTES = 256 * 1024

/** What readers' own buffers may take in all before each is given small ones only, in bytes. */
const OWN_BUFFERS_BYTES = 32 * 1024 * 1024
const MAX_OWN_BYTES = 256 * 1024
const MIN_OWN_BYTES = 16 * 1024

/** What they take now. */
let ownBytes = 0

/**
 * Reads content for one response, at most one piece ahead of the one that is going out. What is in memory anyway goes
 * out as it is. Stored blobs come through the
 * shared pool. What is still arriving, small ranges, and all else when the pool is used up (its chunks may be on their
 * way to slow clients) come through two small buffers of the reader's own, so nobody waits for anybody's memory.
 */
export class PieceReader implements Disposable {
  readonly #content: Content
  readonly #pool: ChunkPool
  readonly #own: [Buffer, Buffer] = [NO_BYTES, NO_BYTES]
  #turn: 0 | 1 = 0

  constructor(content: Content, pool: ChunkPool) {
    this.#content = content
    this.#pool = pool
  }

  /** The next bytes from `position` on, up to `end` at the most. @throws what reading fails with */
  async next(position: number, end: number, signal: AbortSignal): Promise<Piece> {
    const taken = await this.#content.take?.(position, signal)
    if (taken !== undefined) return { bytes: taken.subarray(0, end - position), release: nothing }
    const chunk = isShared(this.#content) && (await this.#fromPool(this.#content, position, end))
    if (chunk) return chunk
    const buffer = this.#ownBuffer(end - position)
    const count = await this.#content.read(
      buffer.subarray(0, Math.min(buffer.length, end - position)),
      position,
      signal,
    )
    if (count === 0) throw new Error(`the content ends at ${position}, before ${end}`)
    return { bytes: buffer.subarray(0, count), release: nothing }
  }

  [Symbol.dispose](): void {
    ownBytes -= this.#own[0].length + this.#own[1].length
    this.#own.fill(NO_BYTES)
  }

  #fromPool(content: Content & { readonly shared: object }, position: number, end: number) {
    return end - position < MIN_SHARED_BYTES ? undefined : this.#pool.take(content, position, end)
  }

  /** Of the two the one that is not on its way out. A small range may have come first, so it grows when more is wanted. */
  #ownBuffer(wanted: number): Buffer {
    this.#turn = this.#turn === 0 ? 1 : 0
    const kept = this.#own[this.#turn]
    const isRoom = ownBytes - kept.length + MAX_OWN_BYTES <= OWN_BUFFERS_BYTES
    const size = Math.min(wanted, isRoom ? MAX_OWN_BYTES : MIN_OWN_BYTES)
    if (kept.length >= size) return kept
    const buffer = Buffer.allocUnsafeSlow(size)
    ownBytes += size - kept.length
    this.#own[this.#turn] = buffer
    return buffer
  }
}

const NO_BYTES = Buffer.alloc(0)

function nothing(): void {}

function isShared(content: Content): content is Content & { readonly shared: object } {
  return content.shared !== undefined
}
