import type { Content, Ingest } from '../content/content-store.ts'
import type { Digest } from '../oci/digest.ts'
import { OciError } from '../oci/oci-error.ts'

/** Where a flight's bytes come from. */
export type FlightSource = 'upstream' | 'peer'

/** What is known of a flight once it has a source: enough for the headers of an answer. */
export interface FlightFacts {
  readonly size: number
  readonly source: FlightSource
}

/** The bytes that readers must wait for until the digest is known to be right, at the most. */
const HELD_BACK_BYTES = 64 * 1024

/**
 * One fetch of one digest in this process, and everyone who reads along. The bytes go into an ingest file; each reader
 * follows that file at its own pace, so memory does not grow with readers or sizes, and who is slow slows nobody else.
 *
 * Life cycle: `announce` (the size is known), `append` any number of times, then `succeed` or `fail`. `restart` throws
 * away bytes that were wrong: readers that saw any of them are cut, the others go on.
 */
export class Flight {
  readonly digest: Digest
  readonly #ingest: Ingest
  /** Settled when the facts are known; replaced when they are taken back. */
  #opened = openable()
  #facts: FlightFacts | undefined
  #error: Error | undefined
  #verified = false
  #committed = false
  /** Counts restarts: a reader that read bytes of an earlier life has read wrong ones. */
  #life = 0
  #readers = 0
  #waiting: (() => void)[] = []

  constructor(digest: Digest, ingest: Ingest) {
    this.digest = digest
    this.#ingest = ingest
  }

  /** The size of the whole in bytes, where it is known. */
  get total(): number | undefined {
    return this.#facts?.size
  }

  /** Bytes that have arrived; the next source goes on from here. */
  get written(): number {
    return this.#ingest.written
  }

  get readers(): number {
    return this.#readers
  }

  get source(): FlightSource | undefined {
    return this.#facts?.source
  }

  /** A source is secured. @throws {OciError} when it names another size than an earlier one */
  announce(facts: FlightFacts): void {
    if (this.#facts !== undefined && this.#facts.size !== facts.size) {
      throw new OciError('UNKNOWN', `${this.digest}: one source says ${this.#facts.size} bytes, another ${facts.size}`)
    }
    this.#facts = facts
    this.#opened.resolve()
  }

  async append(bytes: Uint8Array): Promise<void> {
    await this.#ingest.append(bytes)
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
    await this.#ingest.restart()
    this.#life++
    if (this.#facts !== undefined) this.#opened = openable()
    this.#facts = undefined
    this.#wake()
  }

  /** Makes the blob visible in the store. Only after `verify()`. */
  async commit(): Promise<void> {
    await this.#ingest.commit()
    // From here on new readers go to the store; those that are here keep the file open.
    this.#committed = true
    await this.#ingest.release()
  }

  /** Ends it without a blob: readers are cut. */
  async fail(error: Error): Promise<void> {
    this.#error = error
    this.#opened.reject(error)
    this.#wake()
    await this.#ingest.discard()
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
      if (this.#facts !== undefined) return { content: this.#read(this.#facts), source: this.#facts.source }
      await this.#opened.promise
    }
  }

  #read({ size }: FlightFacts): Content {
    const life = this.#life
    this.#ingest.retain()
    this.#readers++
    let touched = false
    let left = false
    return {
      size,
      read: async (target, position, signal) => {
        const isStale = () => life !== this.#life && (touched || (this.#facts ?? { size }).size !== size)
        const end = await this.#readable(position, size, isStale, signal)
        touched = true
        return end === position ? 0 : this.#ingest.read(target.subarray(0, end - position), position)
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
  async #readable(position: number, size: number, isStale: () => boolean, signal?: AbortSignal): Promise<number> {
    for (;;) {
      signal?.throwIfAborted()
      if (this.#error !== undefined) throw this.#error
      if (isStale()) throw new OciError('UNKNOWN', `${this.digest}: the bytes so far were wrong`)
      if (position >= size) return position
      const end = this.#verified ? size : Math.min(this.written, Math.max(0, size - HELD_BACK_BYTES))
      if (end > position) return end
      await this.#news(signal)
    }
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

/** A promise that nobody has to wait for. */
function openable(): PromiseWithResolvers<void> {
  const opened = Promise.withResolvers<void>()
  opened.promise.catch(() => undefined)
  return opened
}
