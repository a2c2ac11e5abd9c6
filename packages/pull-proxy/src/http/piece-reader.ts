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

/** What readers with buffers of their own may use in all, as far as that leaves each of them some, in bytes. */
const OWN_BUFFERS_BYTES = 32 * 1024 * 1024
const MAX_OWN_BYTES = 256 * 1024
const MIN_OWN_BYTES = 16 * 1024

let readersWithBuffers = 0

/**
 * Reads content for one response, at most one piece ahead of the one that is going out. What is in memory anyway goes
 * out as it is. Stored blobs come through the
 * shared pool. What is still arriving, small ranges, and all else when the pool is used up (its chunks may be on their
 * way to slow clients) come through two small buffers of the reader's own, so nobody waits for anybody's memory.
 */
export class PieceReader implements Disposable {
  readonly #content: Content
  readonly #pool: ChunkPool
  #own: readonly [Buffer, Buffer] | undefined
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
    if (this.#own !== undefined) readersWithBuffers--
    this.#own = undefined
  }

  #fromPool(content: Content & { readonly shared: object }, position: number, end: number) {
    return end - position < MIN_SHARED_BYTES ? undefined : this.#pool.take(content, position, end)
  }

  /** Of the two the one that is not on its way out. */
  #ownBuffer(wanted: number): Buffer {
    if (this.#own === undefined) {
      readersWithBuffers++
      const share = Math.floor(OWN_BUFFERS_BYTES / readersWithBuffers / 2)
      const size = Math.min(Math.max(wanted, 1), Math.max(MIN_OWN_BYTES, Math.min(MAX_OWN_BYTES, share)))
      this.#own = [Buffer.allocUnsafeSlow(size), Buffer.allocUnsafeSlow(size)]
    }
    this.#turn = this.#turn === 0 ? 1 : 0
    return this.#own[this.#turn]
  }
}

function nothing(): void {}

function isShared(content: Content): content is Content & { readonly shared: object } {
  return content.shared !== undefined
}
