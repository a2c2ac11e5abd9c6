import type { Readable } from 'node:stream'

/** Characters kept of one stream. */
const maxCharacters = 4 * 1024 * 1024

/** What a process has written to one of its streams: the last 4 Mi characters of it. */
export class CapturedOutput {
  #text = ''
  readonly #listeners = new Set<() => void>()

  constructor(stream: Readable) {
    stream.setEncoding('utf8')
    stream.on('data', (chunk: string) => {
      this.#text = (this.#text + chunk).slice(-maxCharacters)
      for (const listener of this.#listeners) listener()
    })
  }

  get text(): string {
    return this.#text
  }

  /** The lines that are complete. */
  get lines(): string[] {
    return this.#text.split('\n').slice(0, -1)
  }

  /** Calls back after each piece of output, until the returned function is called. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}
