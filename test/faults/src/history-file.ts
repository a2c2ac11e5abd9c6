import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import type { Entry } from './entry.ts'

/**
 * Appends entries to a file, each by one write: what was written is there however the process ends.
 */
export class HistoryWriter {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  write(entry: Entry): void {
    appendFileSync(this.#path, `${JSON.stringify(entry)}\n`)
  }
}

/** Reads what a file has gained since the last time. A line that is cut off, or not there yet, is left for later. */
export class HistoryReader {
  readonly #path: string
  #readBytes = 0

  constructor(path: string) {
    this.#path = path
  }

  readNew(): Entry[] {
    if (!existsSync(this.#path)) return []
    const fresh = readFileSync(this.#path).subarray(this.#readBytes)
    const whole = fresh.subarray(0, fresh.lastIndexOf('\n') + 1)
    this.#readBytes += whole.length
    const lines = whole.toString().split('\n').slice(0, -1)
    return lines.map((line) => JSON.parse(line) as Entry)
  }
}
