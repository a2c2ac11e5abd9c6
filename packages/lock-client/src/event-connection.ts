import { LockEvent, ROUTES } from '@layerlock/protocol'
import { createParser } from 'eventsource-parser'
import { Compile } from 'typebox/schema'
import { refusal } from './answers.ts'
import { callHeaders } from './call-headers.ts'
import type { WatchEvent } from './call-options.ts'
import { LockError, LockServerUnavailableError } from './errors.ts'
import type { Transport, TransportStream } from './transport.ts'

export interface EventConnectorOptions {
  readonly url: string
  readonly token?: string | undefined
  readonly transport: Transport
  /** How long it may take until the stream stands, in milliseconds. */
  readonly tryTimeoutMs: number
}

interface ConnectOptions {
  readonly prefix: string
  readonly lastEventId: string | undefined
  readonly signal: AbortSignal
}

/** The server sends a line each 15 s at the least: after this time without a byte the connection is dead. */
export const SILENCE_MS = 40_000
/**
 * How long the reader may leave an event unanswered before the connection is closed, in milliseconds: it is opened again
 * when the reader goes on. So an iterator that was dropped in mid-loop leaves no connection behind.
 */
export const IDLE_MS = 30_000
/** More than any event has; a line that is longer is not one of a lock server. */
const MAX_EVENT_CHARS = 256 * 1024

/** Opens streams of events: one try each. */
export class EventConnector {
  readonly #options: EventConnectorOptions

  constructor(options: EventConnectorOptions) {
    this.#options = options
  }

  /**
   * Resolves when the stream stands.
   *
   * @throws {LockServerUnavailableError} when it did not in time, or does not look like one
   * @throws {LockError} with the server's code when it refused
   * @throws the signal's reason
   */
  async connect({ prefix, lastEventId, signal }: ConnectOptions): Promise<EventConnection> {
    const { url, token, transport, tryTimeoutMs } = this.#options
    const closing = new AbortController()
    const timer = setTimeout(() => closing.abort(new Error(`no answer within ${tryTimeoutMs} ms`)), tryTimeoutMs)
    const either = AbortSignal.any([signal, closing.signal])
    try {
      const stream = await transport.stream({
        method: 'GET',
        url: `${url.replace(/\/+$/, '')}${ROUTES.events.path}?${new URLSearchParams({ prefix }).toString()}`,
        headers: {
          ...callHeaders(token),
          accept: 'text/event-stream',
          ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }),
        },
        body: undefined,
        signal: either,
      })
      if (stream.status >= 400) throw refusal({ ...stream, text: await textOf(stream) }, undefined)
      if (stream.status !== 200 || stream.contentType?.startsWith('text/event-stream') !== true) {
        throw new LockServerUnavailableError(`${url} answered without a stream of events: is it a lock server?`)
      }
      return new EventConnection(stream.body, closing, either)
    } catch (cause) {
      closing.abort()
      signal.throwIfAborted()
      if (cause instanceof LockError) throw cause
      throw new LockServerUnavailableError(`the lock server ${url} cannot be reached`, { cause })
    } finally {
      clearTimeout(timer)
    }
  }
}

/** One connection. Close it when done. */
export class EventConnection implements Disposable {
  readonly #body: AsyncIterable<Uint8Array>
  readonly #closing: AbortController
  readonly #signal: AbortSignal
  /** The id of the last event that was read, or that the server gave without an event. */
  lastEventId: string | undefined

  constructor(body: AsyncIterable<Uint8Array>, closing: AbortController, signal: AbortSignal) {
    this.#body = body
    this.#closing = closing
    this.#signal = signal
  }

  /**
   * Reads until the connection ends, however it does. The next bytes are read only when all events of the ones before
   * were taken, so a reader that is slow slows the server down, and nothing piles up here.
   */
  async *events(): AsyncGenerator<WatchEvent, void, void> {
    const decoder = new TextDecoder()
    const arrived: WatchEvent[] = []
    let lastId: string | undefined
    const parser = createParser({
      maxBufferSize: MAX_EVENT_CHARS,
      onId: (id) => {
        lastId = id
      },
      onEvent: ({ event, data }) => {
        const told = event === 'missed' ? ({ type: 'missed' } as const) : parseEvent(data, lastId)
        if (told !== undefined) arrived.push(told)
      },
    })
    const watch = () => setTimeout(() => this.#close(`nothing came for ${SILENCE_MS} ms`), SILENCE_MS).unref()
    let watchdog = watch()
    try {
      for await (const chunk of this.#body) {
        clearTimeout(watchdog)
        parser.feed(decoder.decode(chunk, { stream: true }))
        for (const event of arrived.splice(0)) yield* this.#handOut(event)
        this.lastEventId = lastId ?? this.lastEventId
        watchdog = watch()
      }
    } finally {
      clearTimeout(watchdog)
    }
  }

  [Symbol.dispose](): void {
    this.#close('closed')
  }

  *#handOut(event: WatchEvent): Generator<WatchEvent, void, void> {
    // Before it is taken: what was handed out must not be handed out again by the next connection.
    if (event.type !== 'missed') this.lastEventId = event.id ?? this.lastEventId
    const idle = setTimeout(() => this.#close('nobody reads'), IDLE_MS).unref()
    try {
      yield event
    } finally {
      clearTimeout(idle)
    }
    // Closed meanwhile: the next connection tells the rest of what has arrived.
    this.#signal.throwIfAborted()
  }

  #close(why: string): void {
    this.#closing.abort(new Error(`the stream of events was closed: ${why}`))
  }
}

const lockEvent = Compile(LockEvent)

/** Undefined for what a newer server may send, and for what nobody should. */
function parseEvent(data: string, id: string | undefined): WatchEvent | undefined {
  try {
    const value: unknown = JSON.parse(data)
    return lockEvent.Check(value) ? { ...value, id } : undefined
  } catch {
    return undefined
  }
}

async function textOf({ body }: TransportStream): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of body) {
    text += decoder.decode(chunk, { stream: true })
    // No refusal of a lock server is that long.
    if (text.length > MAX_EVENT_CHARS) break
  }
  return text
}
