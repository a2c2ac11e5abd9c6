import type { Granted, WorkError } from '@layerlock/protocol'
import { checkDuration, MAX_DELAY_MS, MAX_DURATION_MS } from './argument-checks.ts'
import type { CallOptions } from './call-options.ts'
import { isObserved, type LeaseMessage, publish } from './diagnostics.ts'
import { LeaseLostError, LockError } from './errors.ts'
import { LeaseEnd } from './lease-end.ts'
import { type LiveSession, SAFETY_MARGIN } from './live-session.ts'
import type { AnswerOf, BodyOf, LockApi, RouteName } from './lock-api.ts'
import type { Logger } from './logger.ts'
import { retry } from './retry.ts'
import { orAborted } from './sleep.ts'

export interface CompleteOptions extends CallOptions {
  /** Any JSON value, told to everyone who asks for the key while the outcome lasts. */
  readonly value?: unknown
  /** How long the outcome is kept, in milliseconds. Default: the server's (60,000), or with `copy` as long as a copy. */
  readonly retainMs?: number | undefined
  /** Says that this session has a copy of what is behind the key; the outcome lasts as long as anyone has. */
  readonly copy?: boolean | undefined
  /** Leaves no outcome and forgets the one that was there: the thing behind the key is gone. */
  readonly clear?: boolean | undefined
}

export interface FailOptions extends CallOptions {
  /** Nobody need try again: all waiters (of the same group) are told at once. Default false. */
  readonly permanent?: boolean | undefined
  /** Nobody is granted the key before then, in milliseconds. */
  readonly retryAfterMs?: number | undefined
}

type Ending = 'complete' | 'fail' | 'release'

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
  readonly #end: LeaseEnd
  /** Set by what the holder itself did to end the lease: anything else is a loss. */
  #given = false
  /** The ending that is on its way, if any. Never rejects. */
  #pending: Promise<void> | undefined
  /** When `maxHoldMs` is over, a safety margin less. */
  readonly #deadlineMs: number

  constructor(parts: LeaseParts) {
    this.#parts = parts
    this.key = parts.key
    this.fencingToken = parts.granted.fencingToken
    this.attempt = parts.granted.attempt
    this.lastError = parts.granted.lastError
    this.#end = new LeaseEnd(parts.session.signal)
    this.#deadlineMs = parts.sentAtMs + (parts.granted.holdMs ?? Infinity) * (1 - SAFETY_MARGIN)
    this.#watchDeadline()
    this.#tellGranted()
  }

  /** Aborted when the lease ends or is lost, in any case before the server can grant the key to anyone else. */
  get signal(): AbortSignal {
    return this.#end.signal
  }

  /** Whether the lease is held now, by the clock, even when no timer has had a chance to run. */
  get held(): boolean {
    if (performance.now() >= this.#deadlineMs) this.#lose('was held for its maxHoldMs')
    return !this.#end.isOver && this.#parts.session.isLive()
  }

  /** @throws {LeaseLostError} unless the lease is held now */
  assertHeld(): void {
    if (this.held) return
    const cause: unknown = this.signal.reason
    throw new LeaseLostError(`the lease on ${this.key} is held no longer`, { key: this.key, cause })
  }

  /**
   * Resolves when a renewal of the lease's session succeeds that was sent after this was asked for (one goes out each
   * third of its TTL): the lease was still held at the server then. For long work that wants to be sure before each of
   * its steps; `LockClient.renew` renews at once. A promise of its own each time, which nobody need handle.
   *
   * @throws {LeaseLostError} when the lease ends, or is lost, before
   */
  get renewed(): Promise<void> {
    const renewed = this.#untilRenewed()
    renewed.catch(() => undefined)
    return renewed
  }

  /**
   * Ends the lease with an outcome. As with `fail` and `release`, a `signal` ends the waiting for the server's word, not
   * the ending of the lease: that goes on, and disposing the lease waits for it. Another ending meanwhile waits as well,
   * and goes out only if this one was refused (a value too large, say).
   *
   * @throws {LeaseLostError} when it was lost before; nobody learns of the value then
   */
  async complete({ signal, ...options }: CompleteOptions = {}): Promise<void> {
    checkDuration('retainMs', options.retainMs, 0, MAX_DURATION_MS)
    await this.#finish('complete', { fencingToken: this.fencingToken, ...withoutUndefined(options) }, signal)
  }

  /** Ends the lease with an error; the next in line is told of it. @throws {LeaseLostError} when it was lost before */
  async fail(error: WorkError, { signal, ...options }: FailOptions = {}): Promise<void> {
    checkDuration('retryAfterMs', options.retryAfterMs, 0, MAX_DURATION_MS)
    const limited = { code: error.code.slice(0, 128) || 'error', message: error.message.slice(0, 4_096) }
    await this.#finish(
      'fail',
      { fencingToken: this.fencingToken, error: limited, ...withoutUndefined(options) },
      signal,
    )
  }

  /**
   * Ends the lease without an outcome. When the server is away for too long this throws, but goes on in the background:
   * for as long as the session lives, nobody else would free the key.
   *
   * @throws {LeaseLostError} when it was lost before
   */
  async release({ signal }: CallOptions = {}): Promise<void> {
    await this.#finish('release', { fencingToken: this.fencingToken }, signal)
  }

  /** Tells others how far the work is. A report that cannot be delivered is dropped. */
  async progress(done: number, total?: number, { signal }: CallOptions = {}): Promise<void> {
    const body = { fencingToken: this.fencingToken, done, ...(total === undefined ? {} : { total }) }
    const reporting = this.#call('progress', body).then(
      () => undefined,
      (error: unknown) => this.#log(error, 'progress was not reported'),
    )
    await orAborted(reporting, signal)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // An ending whose caller waits no longer: a release would overtake it, and its outcome would be lost.
    await this.#pending
    if (!this.held) return
    await this.release().catch((error: unknown) => this.#log(error, 'the lease could not be released'))
  }

  async #finish<Name extends Ending>(name: Name, body: BodyOf<Name>, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted()
    this.assertHeld()
    await (signal === undefined ? this.#finishInTurn(name, body) : orAborted(this.#finishInTurn(name, body), signal))
  }

  /** One ending after the other: what was not refused is the last one. */
  async #finishInTurn<Name extends Ending>(name: Name, body: BodyOf<Name>): Promise<void> {
    while (this.#pending !== undefined) {
      await this.#pending
      this.assertHeld()
    }
    const finishing = this.#finishSurely(name, body)
    this.#pending = finishing.catch(() => undefined)
    try {
      await finishing
    } catch (error) {
      if (name === 'release') this.#releaseLater(error)
      throw error
    } finally {
      this.#pending = undefined
    }
  }

  /** Goes on with a release that found the server away for too long: nobody else would free the key. */
  #releaseLater(reason: unknown): void {
    if (!this.held || !(reason instanceof LockError) || !reason.retryable) return
    this.#given = true
    this.#end.end(() => reason)
    const options = { giveUpMs: Infinity, signal: this.#parts.session.signal, background: true }
    const later = retry(() => this.#call('release', { fencingToken: this.fencingToken }), options)
    void later.catch((error: unknown) => this.#log(error, 'the lease was not released'))
  }

  /**
   * Retries until the answer is there, or until the lease is over anyway. Safe: the server knows the token. Not from the
   * client's budget: these retries are few, one a lease, and free what others wait for, so they must not queue behind
   * those of the others.
   */
  async #finishSurely<Name extends Ending>(name: Name, body: BodyOf<Name>): Promise<void> {
    const { session, key } = this.#parts
    try {
      await retry(() => this.#call(name, body), { giveUpMs: session.ttlMs, signal: session.signal })
    } catch (error) {
      if (error instanceof LeaseLostError) this.#end.end(() => error)
      // A refusal of what was sent (a value too large, say) ends nothing: the lease can still be failed or released.
      if (error instanceof LeaseLostError || session.isLive()) throw error
      throw new LeaseLostError(`the lease on ${key} was lost before ${name} was confirmed`, { key, cause: error })
    }
    this.#given = true
    this.#lose('has ended')
    if (isObserved('lease:ended')) publish('lease:ended', { ...this.#message(), how: name })
  }

  async #untilRenewed(): Promise<void> {
    this.assertHeld()
    // Why it ended is told by what follows.
    await orAborted(this.#parts.session.nextRenewal(), this.signal).catch(() => undefined)
    this.assertHeld()
  }

  #tellGranted(): void {
    if (isObserved('lease:granted')) publish('lease:granted', this.#message())
    if (!isObserved('lease:lost')) return
    const lost = () => this.#given || publish('lease:lost', { ...this.#message(), error: this.signal.reason })
    this.signal.addEventListener('abort', lost, { once: true })
  }

  #message(): LeaseMessage {
    return { key: this.key, fencingToken: this.fencingToken, attempt: this.attempt }
  }

  #lose(how: string): void {
    this.#end.end(() => new LeaseLostError(`the lease on ${this.key} ${how}`, { key: this.key }))
  }

  /** Aborts the signal at the deadline. */
  #watchDeadline(): void {
    if (this.#deadlineMs === Infinity) return
    const leftMs = Math.min(Math.max(0, this.#deadlineMs - performance.now()) + 1, MAX_DELAY_MS)
    this.#end.after(leftMs, () => this.held && this.#watchDeadline())
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
