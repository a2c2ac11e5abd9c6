import type { Granted, WorkError } from '@layerlock/protocol'
import { LeaseLostError, LockError } from './errors.ts'
import { type LiveSession, SAFETY_MARGIN } from './live-session.ts'
import type { AnswerOf, BodyOf, LockApi, RouteName } from './lock-api.ts'
import type { Logger } from './logger.ts'
import { retry } from './retry.ts'

export interface CompleteOptions {
  /** Any JSON value, told to everyone who asks for the key while the outcome lasts. */
  readonly value?: unknown
  /** How long the outcome is kept, in milliseconds. Default: the server's (60,000), or with `copy` as long as a copy. */
  readonly retainMs?: number | undefined
  /** Says that this session has a copy of what is behind the key; the outcome lasts as long as anyone has. */
  readonly copy?: boolean | undefined
  /** Leaves no outcome and forgets the one that was there: the thing behind the key is gone. */
  readonly clear?: boolean | undefined
}

export interface FailOptions {
  /** Nobody need try again: all waiters (of the same group) are told at once. Default false. */
  readonly permanent?: boolean | undefined
  /** Nobody is granted the key before then, in milliseconds. */
  readonly retryAfterMs?: number | undefined
}

/** The longest delay that a Node timer takes; a longer one would fire at once. */
const MAX_DELAY_MS = 2 ** 31 - 1

interface LeaseParts {
  readonly api: LockApi
  readonly logger: Logger
  readonly key: string
  readonly session: LiveSession
  readonly granted: Granted
  /** When the lease was asked for, as `performance.now()`. */
  readonly sentAtMs: number
}

/**
 * A granted hold on a key. It ends with the first of `complete`, `fail` and `release`, or by being lost. Disposing it
 * (`await using`) releases it if it has not ended, and never throws, so that it cannot hide an error of the work.
 */
export class Lease implements AsyncDisposable {
  readonly key: string
  /** Grows with every grant: pass it to whatever the work writes to, which should refuse a smaller one. */
  readonly fencingToken: number
  /** 1 plus the failures in a row before this grant. */
  readonly attempt: number
  /** What the last holder said when it failed. */
  readonly lastError: WorkError | undefined
  readonly #parts: LeaseParts
  readonly #ended = new AbortController()
  readonly #signal: AbortSignal
  /** When `maxHoldMs` is over, a safety margin less. */
  readonly #deadlineMs: number

  constructor(parts: LeaseParts) {
    this.#parts = parts
    this.key = parts.key
    this.fencingToken = parts.granted.fencingToken
    this.attempt = parts.granted.attempt
    this.lastError = parts.granted.lastError
    this.#signal = AbortSignal.any([this.#ended.signal, parts.session.signal])
    this.#deadlineMs = parts.sentAtMs + (parts.granted.holdMs ?? Infinity) * (1 - SAFETY_MARGIN)
    this.#watchDeadline()
  }

  /** Aborted when the lease ends or is lost, in any case before the server can grant the key to anyone else. */
  get signal(): AbortSignal {
    return this.#signal
  }

  /** Whether the lease is held now, by the clock, even when no timer has had a chance to run. */
  get held(): boolean {
    if (!this.#ended.signal.aborted && performance.now() >= this.#deadlineMs) {
      this.#ended.abort(new LeaseLostError(`the lease on ${this.key} was held for its maxHoldMs`, { key: this.key }))
    }
    return !this.#ended.signal.aborted && this.#parts.session.isLive()
  }

  /** @throws {LeaseLostError} unless the lease is held now */
  assertHeld(): void {
    if (this.held) return
    const cause: unknown = this.signal.reason
    throw new LeaseLostError(`the lease on ${this.key} is held no longer`, { key: this.key, cause })
  }

  /** Ends the lease with an outcome. @throws {LeaseLostError} when it was lost before; nobody learns of the value then */
  async complete(options: CompleteOptions = {}): Promise<void> {
    await this.#end('complete', { fencingToken: this.fencingToken, ...withoutUndefined(options) })
  }

  /** Ends the lease with an error; the next in line is told of it. @throws {LeaseLostError} when it was lost before */
  async fail(error: WorkError, options: FailOptions = {}): Promise<void> {
    const limited = { code: error.code.slice(0, 128) || 'error', message: error.message.slice(0, 4_096) }
    await this.#end('fail', { fencingToken: this.fencingToken, error: limited, ...withoutUndefined(options) })
  }

  /**
   * Ends the lease without an outcome. When the server is away for too long this throws, but goes on in the background:
   * for as long as the session lives, nobody else would free the key.
   *
   * @throws {LeaseLostError} when it was lost before
   */
  async release(): Promise<void> {
    const body = { fencingToken: this.fencingToken }
    try {
      await this.#end('release', body)
    } catch (error) {
      if (this.held && error instanceof LockError && error.retryable) {
        this.#ended.abort(error)
        const { signal } = this.#parts.session
        const later = retry(() => this.#call('release', body), { giveUpMs: Infinity, signal, background: true })
        void later.catch((reason: unknown) => this.#log(reason, 'the lease was not released'))
      }
      throw error
    }
  }

  /** Tells others how far the work is. A report that cannot be delivered is dropped. */
  async progress(done: number, total?: number): Promise<void> {
    const body = { fencingToken: this.fencingToken, done, ...(total === undefined ? {} : { total }) }
    await this.#call('progress', body).catch((error: unknown) => this.#log(error, 'progress was not reported'))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.held) return
    await this.release().catch((error: unknown) => this.#log(error, 'the lease could not be released'))
  }

  /** Retries until the answer is there, or until the lease is over anyway. Safe: the server knows the token. */
  async #end<Name extends 'complete' | 'fail' | 'release'>(name: Name, body: BodyOf<Name>): Promise<void> {
    this.assertHeld()
    const { session, key } = this.#parts
    try {
      await retry(() => this.#call(name, body), { giveUpMs: session.ttlMs, signal: session.signal })
    } catch (error) {
      if (error instanceof LeaseLostError) this.#ended.abort(error)
      // A refusal of what was sent (a value too large, say) ends nothing: the lease can still be failed or released.
      if (error instanceof LeaseLostError || session.isLive()) throw error
      throw new LeaseLostError(`the lease on ${key} was lost before ${name} was confirmed`, { key, cause: error })
    }
    this.#ended.abort(new LeaseLostError(`the lease on ${key} has ended`, { key }))
  }

  /** Aborts the signal at the deadline. */
  #watchDeadline(): void {
    if (this.#deadlineMs === Infinity) return
    const leftMs = Math.min(this.#deadlineMs - performance.now() + 1, MAX_DELAY_MS)
    const timer = setTimeout(() => this.held && this.#watchDeadline(), leftMs)
    timer.unref()
    this.#ended.signal.addEventListener('abort', () => clearTimeout(timer), { once: true })
  }

  #call<Name extends RouteName>(name: Name, body: BodyOf<Name>): Promise<AnswerOf<Name>> {
    const { api, key, session } = this.#parts
    return api.call(name, { key, body, sessionId: session.id, signal: session.signal }).catch((error: unknown) => {
      if (error instanceof LockError && error.code === 'session_expired') session.end(error)
      throw error
    })
  }

  #log(error: unknown, message: string): void {
    this.#parts.logger.debug({ err: error, key: this.key }, message)
  }
}

function withoutUndefined<T extends object>(options: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const entries = Object.entries(options).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as { [K in keyof T]: Exclude<T[K], undefined> }
}
