import type { ServerResponse } from 'node:http'
import type { EventLog } from '../service/event-log.ts'

/** How many events are looked at in one go. */
const BATCH_EVENTS = 256
/** How often a line goes out that says nothing, so that nobody in between takes the stream for dead, in milliseconds. */
const HEARTBEAT_MS = 15_000

/**
 * Tells one reader the events of the log. What the reader has not taken yet stays in the log and nowhere else, so a slow
 * one costs no memory; one that is slower than the log is long is told that it missed some.
 */
export class EventStream implements Disposable {
  readonly #response: ServerResponse
  readonly #log: EventLog
  readonly #prefix: string
  readonly #listening: Disposable
  readonly #heartbeat: NodeJS.Timeout
  /** How many events of the log are behind the reader. */
  #position: number

  /** @param lastId after which event to go on; without it with what happens from now on */
  constructor(response: ServerResponse, log: EventLog, prefix: string, lastId: string | undefined) {
    this.#response = response
    this.#log = log
    this.#prefix = prefix
    const known = lastId === undefined ? log.position : log.positionOf(lastId)
    this.#position = known ?? log.position
    response.write(known === undefined ? `: hello\n\n${this.#missed()}` : `: hello\n${this.#idLine()}`)
    this.#listening = log.listen(() => this.#tell())
    response.on('drain', () => this.#tell())
    this.#heartbeat = setInterval(() => {
      // With the id, a reader whose prefix is rare does not fall out of the log while nothing happens to its keys.
      if (!response.writableNeedDrain && !response.writableEnded) response.write(`:\n${this.#idLine()}`)
    }, HEARTBEAT_MS)
    this.#heartbeat.unref()
    this.#tell()
  }

  /** Writes as much as the connection takes; what is left is written as soon as it takes more. */
  #tell(): void {
    const response = this.#response
    while (!response.writableNeedDrain && !response.writableEnded && !response.destroyed) {
      const events = this.#log.since(this.#position, BATCH_EVENTS)
      if (events?.length === 0) return
      if (events === undefined) {
        this.#position = this.#log.position
        response.write(this.#missed())
        return
      }
      for (const { id, event } of events) {
        this.#position++
        if (!event.key.startsWith(this.#prefix)) continue
        const more = response.write(`id: ${id}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
        if (!more) break
      }
    }
  }

  /** The id comes after it, for a reader that is cut off in between must be told again. */
  #missed(): string {
    // Level-triggered all the same: who is told that it missed something looks at the keys themselves.
    return `event: missed\ndata: {}\n\n${this.#idLine()}`
  }

  /** An id with no data is no event, but a reader that is cut off after it resumes there. */
  #idLine(): string {
    return `id: ${this.#log.idAt(this.#position)}\n\n`
  }

  [Symbol.dispose](): void {
    clearInterval(this.#heartbeat)
    this.#listening[Symbol.dispose]()
  }
}
