import type { Content, Ingest } from '../content/content-store.ts'
import { StoreWriteError } from '../content/store-write-error.ts'
import { type ContentId, digestOfId } from '../oci/content-id.ts'
import type { Digest } from '../oci/digest.ts'
import { OciError } from '../oci/oci-error.ts'

/** Where a flight's bytes come from. */
export type FlightSource = 'upstream' | 'peer'

/** What is known of a flight once it has a source: enough for the headers of an answer. */
export interface FlightFacts {
  readonly size: number
  readonly source: FlightSource
}

interface Reader {
  readonly size: number
  /** The life of the bytes that it saw; undefined as long as it saw none. */
  life: number | undefined
}

/** The bytes that readers must wait for until the digest is known to be right, at the most. */
export const HELD_BACK_BYTES = 64 * 1024

/**
 * One fetch of one digest in this process, and everyone who reads along. The bytes go into an ingest file; each reader
 * follows that file at its own pace, so memory does not grow with readers or sizes, and who is slow slows nobody else.
 *
 * Life cycle: `announce` (the size is known), `append` any number of times, then `succeed` or `fail`. `restart` throws
 * away bytes that were wrong: readers that saw any of them are cut, the others go on.
 */
export class Flight {
  readonly id: ContentId
  readonly #ingest: Ingest
  /** Settled when the facts are known; replaced when they are taken back. */
  #opened = openable()
  #facts: FlightFacts | undefined
  #source: FlightSource | undefined
  #error: Error | undefined
  #verified = false
  #committed = false
  /** Counts restarts: a reader that read bytes of an earlier life has read wrong ones. */
  #life = 0
  #readers = 0
  #waiting: (() => void)[] = []
  /** What was appended last, if it came alone, so that readers who wait for it need not read the file. */
  #newest: { readonly start: number; readonly bytes: Buffer } | undefined

  constructor(id: ContentId, ingest: Ingest) {
    this.id = id
    this.#ingest = ingest
  }

  get digest(): Digest {
    return digestOfId(this.id)
  }

  /** The size of the whole in bytes, where it is known. */
  get total(): number | undefined {
    return this.#facts?.size
  }

  /** Whether it has landed or failed: nobody can join it any more. */
  get isOver(): boolean {
    return this.#committed || this.#error !== undefined
  }

  /** Bytes that have arrived; the next source goes on from here. */
  get written(): number {
    return this.#ingest.written
  }

  get readers(): number {
    return this.#readers
  }

  /** Who sends now; undefined while nobody does. */
  get source(): FlightSource | undefined {
    return this.#source
  }

  /** Whoever sent does so no longer, and nobody else does yet. */
  sourceLost(): void {
    this.#source = undefined
  }

  /** A source is secured. @throws {OciError} when it names another size than an earlier one */
  announce(facts: FlightFacts): void {
    if (this.#facts !== undefined && this.#facts.size !== facts.size) {
      throw new OciError('UNKNOWN', `${this.digest}: one source says ${this.#facts.size} bytes, another ${facts.size}`)
    }
    this.#facts = facts
    this.#source = facts.source
    this.#opened.resolve()
  }

  async append(...chunks: Uint8Array[]): Promise<void> {
    const start = this.written
    await this.#ingest.append(...chunks).catch(refuse)
    const [chunk, ...others] = chunks
    // Where several come at once, upstream is fast, and its readers take all of them with one read.
    this.#newest = chunk === undefined || others.length > 0 ? undefined : { start, bytes: asBuffer(chunk) }
    this.#wake()
  }

  /** Whether the bytes written so far are the right ones. Once they are, readers get the bytes that were held back. */
  verify(): boolean {
    if (!this.#ingest.matches()) return false
    this.#verified = true
    this.#wake()
    return true
  }

  /** Forgets all bytes because they were the wrong ones. */
  async restart(): Promise<void> {
    this.#life++
    this.#newest = undefined
    if (this.#facts !== undefined) this.#opened = openable()
    this.#facts = undefined
    this.#source = undefined
    await this.#ingest.restart().catch(refuse)
    this.#wake()
  }

  /** Makes the blob visible in the store. Only after `verify()`. */
  async commit(): Promise<void> {
    await this.#ingest.commit().catch(refuse)
    // From here on new readers go to the store; those that are here keep the file open.
    this.#committed = true
    this.#newest = undefined
    await this.#ingest.release()
  }

  /** Ends it without a blob: readers are cut. */
  async fail(reason: unknown): Promise<void> {
    if (this.#error !== undefined || this.#committed) return
    this.#error = reason instanceof Error ? reason : new OciError('UNKNOWN', String(reason))
    this.#opened.reject(this.#error)
    this.#newest = undefined
    this.#wake()
    // A file that cannot be removed is removed at the next start; nobody can see it.
    await this.#ingest.discard().catch(() => undefined)
    await this.#ingest.release()
  }

  /**
   * Joins as a reader, as soon as a source is secured and the size is known. Undefined once the blob is committed: then
   * the store has it.
   *
   * @throws what the flight fails with before that
   */
  async join(): Promise<{ content: Content; source: FlightSource } | undefined> {
    for (;;) {
      if (this.#error !== undefined) throw this.#error
      if (this.#committed) return undefined
      // Of nothing no bytes can be held back until the digest is right.
      const isKnown = this.#facts !== undefined && (this.#facts.size > 0 || this.#verified)
      if (this.#facts !== undefined && isKnown) return { content: this.#read(this.#facts), source: this.#facts.source }
      await (this.#facts === undefined ? this.#opened.promise : this.#news(undefined))
    }
  }

  #read({ size }: FlightFacts): Content {
    this.#ingest.retain()
    this.#readers++
    const reader: Reader = { size, life: undefined }
    let left = false
    return {
      size,
      read: async (target, position, signal) => {
        const end = await this.#readable(position, reader, signal)
        if (end === position) return 0
        const count = await this.#ingest.read(target.subarray(0, end - position), position)
        // The bytes may have been thrown away while they were read.
        this.#assertFresh(reader)
        return count
      },
      take: async (position, signal) => {
        const end = await this.#readable(position, reader, signal)
        const newest = this.#newest
        if (newest === undefined || position < newest.start || position >= end) return undefined
        if (position >= newest.start + newest.bytes.length) return undefined
        return newest.bytes.subarray(position - newest.start, end - newest.start)
      },
      [Symbol.asyncDispose]: async () => {
        if (left) return
        left = true
        this.#readers--
        await this.#ingest.release()
      },
    }
  }

  /** Waits until bytes after `position` may be read; resolves with where they end. */
  async #readable(position: number, reader: Reader, signal?: AbortSignal): Promise<number> {
    const { size } = reader
    for (;;) {
      signal?.throwIfAborted()
      if (this.#error !== undefined) throw this.#error
      this.#assertFresh(reader)
      if (position >= size) return position
      const end = this.#verified ? size : Math.min(this.written, Math.max(0, size - HELD_BACK_BYTES))
      if (end > position) {
        reader.life ??= this.#life
        return end
      }
      await this.#news(signal)
    }
  }

  /** @throws {OciError} when a reader has seen bytes that were thrown away, or told its client another size */
  #assertFresh({ life = this.#life, size }: Reader): void {
    if (life === this.#life && (this.#facts ?? { size }).size === size) return
    throw new OciError('UNKNOWN', `${this.digest}: the bytes so far were wrong`)
  }

  /** Resolves at the next change, or when the signal aborts. */
  async #news(signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const aborted = () => resolve()
    this.#waiting.push(resolve)
    signal?.addEventListener('abort', aborted, { once: true })
    await promise
    signal?.removeEventListener('abort', aborted)
  }

  #wake(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const resume of waiting) resume()
  }
}

function asBuffer({ buffer, byteOffset, length }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, length)
}

function refuse(error: unknown): never {
  throw new StoreWriteError(error)
}

/** A promise that nobody has to wait for. */
function openable(): PromiseWithResolvers<void> {
  const opened = Promise.withResolvers<void>()
  opened.promise.catch(() => undefined)
  return opened
}
