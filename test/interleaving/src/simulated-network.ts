import { AnsweredTickets } from './answered-tickets.ts'
import type { ServerInProcess, WireRequest } from './server-in-process.ts'

/** What becomes of one request and its answer. */
export interface Fate {
  /** How long the request is on its way, in milliseconds. */
  readonly requestMs: number
  /** How long the answer is on its way, in milliseconds. */
  readonly answerMs: number
  readonly loss: 'nothing' | 'request' | 'answer'
  /** How the client learns of a loss: its connection breaks, or there is silence. */
  readonly shows: 'reset' | 'silence'
  /** The request arrives once more, so much later, in milliseconds. */
  readonly repeatedAfterMs: number | undefined
}

const FINE: Fate = { requestMs: 1, answerMs: 1, loss: 'nothing', shows: 'silence', repeatedAfterMs: undefined }

/**
 * A network between clients and a server, in simulated time. The fates come upon the requests in the order in which
 * these are sent; when none is left the network is fine.
 */
export class SimulatedNetwork {
  readonly #server: ServerInProcess
  readonly #fates: Fate[]
  readonly #answered = new AnsweredTickets()
  /** For messages: what was sent, and what became of it. */
  readonly log: string[] = []

  constructor(server: ServerInProcess, fates: readonly Fate[]) {
    this.#server = server
    this.#fates = [...fates]
  }

  /** From now on nothing is lost. What is on its way stays so. */
  heal(): void {
    this.#fates.length = 0
  }

  readonly fetch: typeof globalThis.fetch = async (input, init = {}) => {
    const fate = this.#fates.shift() ?? FINE
    const url = new URL(input instanceof Request ? input.url : input)
    const body = typeof init.body === 'string' ? init.body : undefined
    const headers = Object.fromEntries(new Headers(init.headers))
    const method = (init.method ?? 'GET') as WireRequest['method']
    const request = { method, path: url.pathname + url.search, headers, body }
    this.log.push(`${Math.round(performance.now())} ${method} ${request.path} ${body ?? ''} ${JSON.stringify(fate)}`)

    const { promise, resolve, reject } = Promise.withResolvers<Response>()
    const connection = new AbortController()
    init.signal?.addEventListener('abort', () => {
      reject(init.signal?.reason as Error)
      // That the client has gone travels like everything else, and may get lost as well.
      if (fate.loss === 'nothing') after(fate.requestMs, () => connection.abort())
    })
    const lose = (ms: number) => {
      if (fate.shows === 'reset') after(ms, () => reject(new TypeError('the connection was reset')))
    }
    if (fate.repeatedAfterMs !== undefined) after(fate.requestMs + fate.repeatedAfterMs, () => this.#repeat(request))
    if (fate.loss === 'request') {
      lose(fate.requestMs)
      return promise
    }
    after(fate.requestMs, () => {
      void this.#server.handle(request, connection.signal).then(
        ({ status, headers: answerHeaders, text }) => {
          this.#answered.note(request, text)
          if (fate.loss === 'answer') lose(fate.answerMs)
          else after(fate.answerMs, () => resolve(createResponse(status, answerHeaders, text)))
        },
        // The client had gone.
        () => undefined,
      )
    })
    return promise
  }

  #repeat(request: WireRequest): void {
    if (this.#answered.has(request)) return
    this.log.push(`${Math.round(performance.now())} again ${request.method} ${request.path} ${request.body ?? ''}`)
    void this.#server.handle(request).catch(() => undefined)
  }
}

function after(ms: number, callback: () => void): void {
  setTimeout(callback, ms)
}

function createResponse(status: number, headers: Readonly<Record<string, string>>, text: string): Response {
  return new Response(status === 204 ? null : text, { status, headers })
}
