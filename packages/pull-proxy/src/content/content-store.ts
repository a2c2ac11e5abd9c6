import type { ContentId } from '../oci/content-id.ts'

/**
 * Bytes that can be read at any place: a stored blob, or one that is still arriving. Reading waits for bytes that are
 * not there yet. Disposed once, after which nothing may be read.
 */
export interface Content extends AsyncDisposable {
  /** The size of the whole in bytes. */
  readonly size: number
  /**
   * Names the bytes, where they are right and stay so: contents with the same object here have the same bytes, so what
   * was read of one may be sent to readers of another.
   */
  readonly shared?: object | undefined
  /**
   * Reads from `position` into `target`: at least one byte, as many as are there and fit. Zero only at the end.
   *
   * @throws when the bytes can no longer come, or turned out to be the wrong ones; the signal's reason when it aborts
   */
  read(target: Uint8Array, position: number, signal?: AbortSignal): Promise<number>
  /**
   * Waits like `read`, and gives bytes from `position` on that are in memory anyway: at least one, and nobody may write
   * there. Undefined when there are none, so that they must be read.
   *
   * @throws like `read`
   */
  take?(position: number, signal?: AbortSignal): Promise<Buffer | undefined>
}

/**
 * A blob in the making. Ends with exactly one of `commit` and `discard`, which may come while readers still read; then
 * its maker and each reader that it retained release it, and the last one closes the file.
 */
export interface Ingest {
  /** How many bytes were written. */
  readonly written: number
  /** Appends, in one write; resolves when the bytes can be read. Calls must not overlap. */
  append(...chunks: Uint8Array[]): Promise<void>
  /** Reads what was written, at most `target.length` bytes. */
  read(target: Uint8Array, position: number): Promise<number>
  /** Whether the bytes written so far are those that the digest names. */
  matches(): boolean
  /** Forgets all bytes, to start again. */
  restart(): Promise<void>
  /** Makes the blob visible in the store, durably. Only after `matches()`. */
  commit(): Promise<void>
  /** Removes it. Readers that are open can read on. */
  discard(): Promise<void>
  /** One more reader uses the bytes. */
  retain(): void
  release(): Promise<void>
}

/** Blobs by their ids. What can be opened is whole and was verified: nothing half-written is ever visible. */
export interface ContentStore extends AsyncDisposable {
  /** Whether a blob is there, as far as is known without looking. */
  has(id: ContentId): boolean
  /** Opens a blob; undefined when it is not there. */
  open(id: ContentId): Promise<Content | undefined>
  ingest(id: ContentId): Promise<Ingest>
  delete(id: ContentId): Promise<void>
  ids(): Iterable<ContentId>
  totals(): { readonly blobs: number; readonly bytes: number }
}
