import { type FileHandle, open } from 'node:fs/promises'
import { LRUCache } from 'lru-cache'

/** A file that is open for reading, by any number of readers at once. */
export interface OpenFile {
  readonly handle: FileHandle
  /** In bytes, when it was opened. */
  readonly size: number
  /** One reader needs it no longer. Called once by each. */
  release(): Promise<void>
}

/** Open files that are kept, at the most: enough for all layers of what a node is likely to be asked for at one time. */
const DEFAULT_MAX_KEPT = 64

class SharedFile implements OpenFile {
  readonly handle: FileHandle
  readonly size: number
  /** Whoever keeps it counts as one. */
  #users = 1

  constructor(handle: FileHandle, size: number) {
    this.handle = handle
    this.size = size
  }

  /** One more reader; undefined when it is closed already. */
  retain(): this | undefined {
    if (this.#users === 0) return undefined
    this.#users++
    return this
  }

  async release(): Promise<void> {
    if (--this.#users === 0) await this.handle.close()
  }
}

/** Files that are read again and again are kept open for a while, and closed when their last reader has gone. */
export class OpenFiles implements AsyncDisposable {
  readonly #kept: LRUCache<string, SharedFile>
  readonly #opening = new Map<string, Promise<SharedFile | undefined>>()
  readonly #closing = new Set<Promise<void>>()

  constructor(maxKept = DEFAULT_MAX_KEPT) {
    this.#kept = new LRUCache({ max: maxKept, dispose: (file) => this.#letGo(file) })
  }

  /** Opens a file; undefined when there is none. One that was deleted or replaced since it was opened is opened anew. */
  async open(path: string): Promise<OpenFile | undefined> {
    const kept = this.#kept.get(path)?.retain()
    if (kept !== undefined) {
      const { nlink, size } = await kept.handle.stat()
      if (nlink > 0 && size === kept.size) return kept
      if (this.#kept.peek(path) === kept) this.#kept.delete(path)
      await kept.release()
    }
    for (;;) {
      const opened = await (this.#opening.get(path) ?? this.#open(path))
      if (opened === undefined) return undefined
      const file = opened.retain()
      if (file !== undefined) return file
    }
  }

  /** Keeps it no longer: its space is free as soon as its readers have gone. */
  forget(path: string): void {
    this.#kept.delete(path)
  }

  /** Closes what is kept; who still reads may read on. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#kept.clear()
    await Promise.all(this.#closing)
  }

  /** One for all who ask for it at the same time, so that they can share what they read. */
  async #open(path: string): Promise<SharedFile | undefined> {
    const opening = openIfThere(path)
    this.#opening.set(path, opening)
    try {
      const file = await opening
      if (file !== undefined) this.#kept.set(path, file)
      return file
    } finally {
      this.#opening.delete(path)
    }
  }

  #letGo(file: SharedFile): void {
    // Nothing was written: a failure to close loses nothing, and there is nobody to tell.
    const closing = file
      .release()
      .catch(() => undefined)
      .finally(() => this.#closing.delete(closing))
    this.#closing.add(closing)
  }
}

async function openIfThere(path: string): Promise<SharedFile | undefined> {
  try {
    const handle = await open(path, 'r')
    return new SharedFile(handle, (await handle.stat()).size)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
