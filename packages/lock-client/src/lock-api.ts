import { ErrorBody, isErrorCode, type Route, ROUTES, SESSION_HEADER } from '@layerlock/protocol'
import type { Static } from 'typebox'
import { Compile } from 'typebox/schema'
import { LeaseLostError, LockError, LockServerUnavailableError, SessionExpiredError } from './errors.ts'
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

/** The typed calls of the HTTP API: one try each, answers checked, refusals as typed errors. */
export class LockApi implements AsyncDisposable {
  readonly #baseUrl: string
  readonly #headers: Readonly<Record<string, string>>
  readonly #transport: Transport
  readonly #tryTimeoutMs: number

  constructor(options: { url: string; token?: string | undefined; transport: Transport; tryTimeoutMs: number }) {
    this.#baseUrl = options.url.replace(/\/+$/, '')
    this.#headers = options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }
    this.#transport = options.transport
    this.#tryTimeoutMs = options.tryTimeoutMs
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
    const route: Route = ROUTES[name]
    const tryTimeoutMs = Math.min(this.#tryTimeoutMs, options.tryTimeoutMs ?? Infinity)
    const timeout = AbortSignal.timeout(Math.ceil(tryTimeoutMs + parkedMs))
    // Outside of the try: what cannot be written has nothing to do with the server.
    const json = body === undefined ? undefined : JSON.stringify(body)
    let response: TransportResponse
    try {
      response = await this.#transport.send({
        method: route.method,
        url: this.#baseUrl + pathOf(route, key) + queryOf(options.query),
        headers: {
          ...this.#headers,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(sessionId === undefined ? {} : { [SESSION_HEADER]: sessionId }),
        },
        body: json,
        signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
      })
    } catch (cause) {
      signal?.throwIfAborted()
      const why = timeout.aborted ? `gave no answer within ${tryTimeoutMs + parkedMs} ms` : 'cannot be reached'
      throw new LockServerUnavailableError(`the lock server ${this.#baseUrl} ${why}`, { cause, key })
    }
    if (response.status >= 400) throw refusal(response, key)
    return readAnswer(name, route, response, key)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#transport[Symbol.asyncDispose]()
  }
}

function pathOf({ path }: Route, key: string | undefined): string {
  return key === undefined ? path : path.replace('{key}', encodeURIComponent(key))
}

function queryOf(query: CallOptions<RouteName>['query']): string {
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(query ?? {})) if (value !== undefined) search.set(name, String(value))
  return search.size === 0 ? '' : `?${search.toString()}`
}

const validators = new Map<RouteName, { Check(value: unknown): boolean }>()

function readAnswer<Name extends RouteName>(
  name: Name,
  { answer }: Route,
  response: TransportResponse,
  key: string | undefined,
): AnswerOf<Name> {
  if (answer === undefined) return undefined as AnswerOf<Name>
  const value = parseJson(response.text)
  const validator = validators.get(name) ?? Compile(answer)
  validators.set(name, validator)
  if (validator.Check(value)) return value as AnswerOf<Name>
  throw new LockServerUnavailableError(`the answer to ${name} is not one of a lock server`, { key })
}

function refusal(response: TransportResponse, key: string | undefined): LockError {
  const value = parseJson(response.text)
  const retryAfterMs = retryAfter(response.retryAfter)
  const options = { key, retryAfterMs }
  if (!errorBody.Check(value) || !isErrorCode(value.error.code)) {
    return new LockServerUnavailableError(`the lock server answered ${response.status} without a known error`, options)
  }
  const { code, message } = value.error
  if (code === 'lease_lost') return new LeaseLostError(message, options)
  if (code === 'session_expired') return new SessionExpiredError(message, options)
  return new LockError(code, message, options)
}

const errorBody = Compile(ErrorBody)

function retryAfter(header: string | undefined): number | undefined {
  return header !== undefined && /^\d{1,6}$/.test(header) ? Number(header) * 1_000 : undefined
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
