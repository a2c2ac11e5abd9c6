import type { Content } from './content-store.ts'

/** Bytes of a stored blob in memory. Any number of responses send them at the same time; nobody writes them. */
export interface Chunk {
  /** From the position that was asked for on. */
  readonly bytes: Buffer
  /** Gives it back, once: its memory may hold other bytes from then on. */
  readonly release: () => void
}

/**
 * Chunks that nobody holds and that are kept for those who are behind. With more of them the memory in use would not fit
 * into the processor's cache, which costs a single client a fifth of its rate.
 */
const KEPT_IDLE = 4

interface Slot {
  readonly buffer: Buffer
  /** Whose bytes these are; undefined when nobody can use them. */
  owner: object | undefined
  start: number
  end: number
  users: number
  /** Settles when the bytes are there. */
  loading: Promise<void> | undefined
}

export interface ChunkPoolOptions {
  /** Default 1 MiB: smaller ones cost more turns of the event loop for each byte, larger ones nothing less. */
  readonly chunkBytes?: number | undefined
  /** Default 16: what two responses or two dozen in step need, and not much of the memory of a process. */
  readonly maxChunks?: number | undefined
}

/**
 * The memory through which stored blobs go out, bounded for the whole process. Who reads where somebody has just read
 * gets the same bytes, without a read: clients that pull the same layer fall into step by that, since those behind are
 * faster than the one in front.
 */
export class ChunkPool {
  readonly #chunkBytes: number
  readonly #maxChunks: number
  /** The least recently used first. */
  readonly #slots: Slot[] = []

  constructor({ chunkBytes = 1024 * 1024, maxChunks = 16 }: ChunkPoolOptions = {}) {
    this.#chunkBytes = chunkBytes
    this.#maxChunks = maxChunks
  }

  /** Chunks that somebody holds. */
  get held(): number {
    return this.#slots.filter(({ users }) => users > 0).length
  }

  /**
   * Takes bytes of shared content from `position` on, up to `end` at the most; undefined when all memory is in use.
   *
   * @throws what reading fails with
   */
  async take(
    content: Content & { readonly shared: object },
    position: number,
    end: number,
  ): Promise<Chunk | undefined> {
    const slot = this.#find(content.shared, position) ?? this.#load(content, position, end)
    if (slot === undefined) return undefined
    slot.users++
    try {
      if (slot.loading !== undefined) await slot.loading
    } catch (error) {
      slot.users--
      throw error
    }
    if (slot.end <= position) {
      slot.users--
      if (slot.start === position) throw new Error(`the content ends at ${position}, before ${end}`)
      // Less was read than was asked for, and this reader is the first who sees what follows.
      return this.take(content, position, end)
    }
    let isHeld = true
    return {
      bytes: slot.buffer.subarray(position - slot.start, Math.min(slot.end, end) - slot.start),
      release: () => {
        if (isHeld) slot.users--
        isHeld = false
      },
    }
  }

  #find(owner: object, position: number): Slot | undefined {
    const index = this.#slots.findIndex((slot) => slot.owner === owner && slot.start <= position && position < slot.end)
    return index === -1 ? undefined : this.#used(index)
  }

  #load(content: Content & { readonly shared: object }, position: number, end: number): Slot | undefined {
    const slot = this.#free()
    if (slot === undefined) return undefined
    slot.owner = content.shared
    slot.start = position
    slot.end = Math.min(end, position + this.#chunkBytes)
    slot.loading = content.read(slot.buffer.subarray(0, slot.end - position), position).then(
      (count) => {
        slot.end = position + count
        slot.loading = undefined
      },
      (error: unknown) => {
        slot.owner = undefined
        throw error
      },
    )
    return slot
  }

  #free(): Slot | undefined {
    const idle = this.#slots.flatMap(({ users }, index) => (users === 0 ? [index] : []))
    if (idle.length < KEPT_IDLE && this.#slots.length < this.#maxChunks) {
      const buffer = Buffer.allocUnsafeSlow(this.#chunkBytes)
      const slot: Slot = { buffer, owner: undefined, start: 0, end: 0, users: 0, loading: undefined }
      this.#slots.push(slot)
      return slot
    }
    const index = idle.at(-KEPT_IDLE) ?? idle[0]
    return index === undefined ? undefined : this.#used(index)
  }

  /** It is the most recently used one now. */
  #used(index: number): Slot {
    const [slot] = this.#slots.splice(index, 1)
    this.#slots.push(slot!)
    return slot!
  }
}
