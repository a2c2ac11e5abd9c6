import { BATCH_OPS, type BatchOpName, type Route, ROUTES, SESSION_HEADER } from '@layerlock/protocol'
import type { Static } from 'typebox'
import { checkAnswer, errorOf, isRefusal, parseJson, refusal } from './answers.ts'
import { Batcher, type BatchEntry } from './batcher.ts'
import { callHeaders } from './call-headers.ts'
import { LockServerUnavailableError } from './errors.ts'
import { TryTimeoutError } from './exchange.ts'
import type { Transport, TransportResponse } from './transport.ts'

type Routes = typeof ROUTES
export type RouteName = keyof Routes
export type BodyOf<Name extends RouteName> = Routes[Name] extends { body: infer B } ? Static<B & object> : undefined
export type AnswerOf<Name extends RouteName> = Routes[Name] extends { answer: infer A } ? Static<A & object> : undefined

export interface CallOptions<Name extends RouteName> {
  readonly key?: string | undefined
  readonly sessionId?: string | undefined
  readonly body?: BodyOf<Name> | undefined
  readonly query?: Readonly<Record<string, string | number | undefined>> | undefined
  /** How long the server may hold the answer back, on top of the time for a try. */
  readonly parkedMs?: number | undefined
  /** How long the try may take at the most, where that is less than for others. */
  readonly tryTimeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

export interface LockApiOptions {
  readonly url: string
  readonly token?: string | undefined
  readonly transport: Transport
  readonly tryTimeoutMs: number
}

interface OpCall {
  readonly key: string
  readonly sessionId: string
  readonly body: object
  readonly signal: AbortSignal | undefined
}

interface HttpCall {
  readonly method: Route['method']
  /** From the server's base on. */
  readonly path: string
  readonly json: string | undefined
  readonly sessionId: string | undefined
  readonly timeoutMs: number
  readonly key: string | undefined
  readonly signal: AbortSignal | undefined
}

/**
 * The typed calls of the HTTP API: one try each, answers checked, refusals as typed errors. Operations on keys that are
 * called in the same tick go out as one request.
 */
export class LockApi implements AsyncDisposable {
  readonly #baseUrl: string
  readonly #headers: Readonly<Record<string, string>>
  readonly #transport: Transport
  readonly #tryTimeoutMs: number
  readonly #batcher = new Batcher((entries) => void this.#sendTogether(entries))

  constructor({ url, token, transport, tryTimeoutMs }: LockApiOptions) {
    this.#baseUrl = url.replace(/\/+$/, '')
    this.#headers = callHeaders(token)
    this.#transport = transport
    this.#tryTimeoutMs = tryTimeoutMs
  }

  /**
   * Calls once.
   *
   * @throws {LockServerUnavailableError} when there was no answer in time, or none that makes sense
   * @throws {LockError} with the server's code when it refused
   * @throws {TypeError} when the body cannot be written as JSON
   * @throws the signal's reason when that was aborted
   */
  async call<Name extends RouteName>(name: Name, options: CallOptions<Name> = {}): Promise<AnswerOf<Name>> {
    const { key, sessionId, body, signal, parkedMs = 0 } = options
    const canWait = parkedMs === 0 && options.tryTimeoutMs === undefined
    if (canWait && isOp(name) && key !== undefined && sessionId !== undefined && body !== undefined) {
      const op: OpCall = { key, sessionId, body: body as object, signal }
      return (await this.#together(name, op)) as AnswerOf<Name>
    }
    const route: Route = ROUTES[name]
    const timeoutMs = Math.ceil(Math.min(this.#tryTimeoutMs, options.tryTimeoutMs ?? Infinity) + parkedMs)
    const path = pathOf(route, key) + queryOf(options.query)
    const json = body === undefined ? undefined : JSON.stringify(body)
    const response = await this.#send({ method: route.method, path, json, sessionId, timeoutMs, key, signal })
    return checkAnswer(name, parseJson(response.text), key)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#transport[Symbol.asyncDispose]()
  }

  /** Leaves the operation to the batch of this tick. An abort ends the waiting for its answer, and nothing of the others. */
  #together(name: BatchOpName, { key, sessionId, body, signal }: OpCall): Promise<unknown> {
    signal?.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    // Here, so that what cannot be written as JSON fails its own call alone. A batch has no `waitMs`.
    const json = JSON.stringify({ op: name, key, ...body, waitMs: undefined })
    const entry = { name, key, sessionId, body, json }
    if (signal === undefined) {
      this.#batcher.add({ ...entry, resolve, reject })
      return promise
    }
    const abort = () => reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    const leaving = (settle: (value: unknown) => void) => (value: unknown) => {
      signal.removeEventListener('abort', abort)
      settle(value)
    }
    this.#batcher.add({ ...entry, resolve: leaving(resolve), reject: leaving(reject) })
    return promise
  }

  async #sendTogether(entries: readonly BatchEntry[]): Promise<void> {
    const [first] = entries
    if (first === undefined) return
    const timeoutMs = this.#tryTimeoutMs
    const common = { sessionId: first.sessionId, timeoutMs, signal: undefined, method: 'POST' } as const
    try {
      if (entries.length === 1) {
        const { name, key, body } = first
        const path = pathOf(ROUTES[name], key)
        const response = await this.#send({ ...common, path, key, json: JSON.stringify(body) })
        first.resolve(checkAnswer(name, parseJson(response.text), key))
      } else {
        const json = `{"ops":[${entries.map((entry) => entry.json).join(',')}]}`
        const response = await this.#send({ ...common, path: ROUTES.batch.path, key: undefined, json })
        distribute(entries, parseJson(response.text))
      }
    } catch (error) {
      for (const { reject } of entries) reject(error)
    }
  }

  async #send({ method, path, json, sessionId, timeoutMs, key, signal }: HttpCall): Promise<TransportResponse> {
    let response: TransportResponse
    try {
      response = await this.#transport.send({
        method,
        url: this.#baseUrl + path,
        headers: {
          ...this.#headers,
          ...(json === undefined ? {} : { 'content-type': 'application/json' }),
          ...(sessionId === undefined ? {} : { [SESSION_HEADER]: sessionId }),
        },
        body: json,
        signal,
        timeoutMs,
      })
    } catch (cause) {
      signal?.throwIfAborted()
      const why = cause instanceof TryTimeoutError ? `gave no answer within ${timeoutMs} ms` : 'cannot be reached'
      throw new LockServerUnavailableError(`the lock server ${this.#baseUrl} ${why}`, { cause, key })
    }
    if (response.status >= 400) throw refusal(response, key)
    return response
  }
}

function isOp(name: RouteName): name is BatchOpName {
  return Object.hasOwn(BATCH_OPS, name)
}

/** Tells each operation its own answer. */
function distribute(entries: readonly BatchEntry[], value: unknown): void {
  const answers: unknown = typeof value === 'object' && value !== null && 'answers' in value ? value.answers : undefined
  if (!Array.isArray(answers) || answers.length !== entries.length) {
    throw new LockServerUnavailableError('the answer to batch is not one of a lock server')
  }
  entries.forEach(({ name, key, resolve, reject }, index) => {
    const answer: unknown = answers[index]
    const refused = isRefusal(answer) ? errorOf(answer, key) : undefined
    try {
      if (refused === undefined) resolve(checkAnswer(name, answer, key))
      else reject(refused)
    } catch (error) {
      reject(error)
    }
  })
}

function pathOf({ path }: Route, key: string | undefined): string {
  return key === undefined ? path : path.replace('{key}', encodeURIComponent(key))
}

function queryOf(query: CallOptions<RouteName>['query']): string {
  if (query === undefined) return ''
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) if (value !== undefined) search.set(name, String(value))
  return search.size === 0 ? '' : `?${search.toString()}`
}
