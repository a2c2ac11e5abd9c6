import type { CopiesUpdated, LiveNode, LockRecord } from '@layerlock/protocol'
import { MAX_WAIT_MS } from '@layerlock/protocol'
import { AbortScope } from './abort-scope.ts'
import { checkCall, checkKey, checkPrefix, MAX_DELAY_MS } from './argument-checks.ts'
import type {
  AcquireOptions,
  CallOptions,
  ForgetOptions,
  OnceOptions,
  OnceResult,
  WaitOptions,
  WatchOptions,
} from './call-options.ts'
import { type CheckedOptions, checkOptions, type LockClientOptions } from './client-options.ts'
import {
  LeaseLostError,
  LockFailedError,
  LockTimeoutError,
  OutcomeInvalidError,
  SessionExpiredError,
} from './errors.ts'
import { EventConnector } from './event-connection.ts'
import { Lease } from './lease.ts'
import { type AnswerOf, type CallOptions as ApiOptions, LockApi, type RouteName } from './lock-api.ts'
import { retry } from './retry.ts'
import { RetryBudget } from './retry-budget.ts'
import { Semaphore } from './semaphore.ts'
import { SessionKeeper } from './session-keeper.ts'
import { orAborted } from './sleep.ts'
import { sessionRequest } from './session-request.ts'
import { Ticket, type TicketAnswer, type Wish, wishOf } from './ticket.ts'
import { workErrorOf } from './work-error.ts'
import { FetchTransport, UndiciTransport } from './transport.ts'
import { Watch } from './watch.ts'

/**
 * A client of a lock server. One session serves all that it does: opened at the first use, kept alive by one heartbeat,
 * opened again after a loss. Close it when done, or use it with `await using`.
 *
 * @example
 * await using locks = new LockClient({ url: 'http://127.0.0.1:7400' })
 * await using lease = await locks.acquire('reports/2026-11')
 */
export class LockClient implements AsyncDisposable {
  readonly #options: CheckedOptions
  readonly #api: LockApi
  readonly #keeper: SessionKeeper
  readonly #connector: EventConnector
  readonly #budget: RetryBudget
  readonly #cancelling = new Set<Promise<void>>()
  #closing: Promise<void> | undefined

  /** @throws {TypeError} when an option is not allowed */
  constructor(options: LockClientOptions = {}) {
    const checked = checkOptions(options)
    const { url, token, ca, fetch, tryTimeoutMs, logger, onSession } = checked
    const transport = fetch === undefined ? new UndiciTransport({ ca }) : new FetchTransport(fetch)
    this.#options = checked
    this.#api = new LockApi({ url, token, tryTimeoutMs, transport })
    this.#connector = new EventConnector({ url, token, tryTimeoutMs, transport })
    this.#budget = new RetryBudget(checked.retriesPerSecond)
    this.#keeper = new SessionKeeper({ api: this.#api, logger, request: sessionRequest(checked), onOpened: onSession })
  }

  /**
   * Waits for the key and holds it, like a mutex: outcomes are neither read nor left behind.
   *
   * @throws {TypeError} when the key or an option is not allowed
   * @throws {LockTimeoutError} after `timeoutMs`
   * @throws {LockFailedError} when holders before have failed for good, or too often in a row
   * @throws {LockServerUnavailableError} when the server has been away for too long
   */
  async acquire(key: string, options: AcquireOptions = {}): Promise<Lease> {
    checkCall(key, options)
    const answer = await this.#settle(key, { ...wishOf(options), ignoreOutcome: true }, options)
    if (answer.status === 'granted') return answer.lease
    throw new LeaseLostError(`the lock server answered ${answer.status} to a mutex`, { key })
  }

  /**
   * Holds the key if it is free now; undefined if it is not.
   *
   * @throws {TypeError} when the key or an option is not allowed
   * @throws {LockTimeoutError} when the server has not answered within `timeoutMs`
   * @throws {LockFailedError} when holders before have failed for good, or too often in a row
   * @throws {LockServerUnavailableError} when the server has been away for too long
   */
  async tryAcquire(key: string, options: AcquireOptions = {}): Promise<Lease | undefined> {
    checkCall(key, options)
    const answer = await this.#settle(key, { ...wishOf(options), ignoreOutcome: true, enqueue: false }, options)
    return answer.status === 'granted' ? answer.lease : undefined
  }

  /** A key that up to `limit` may hold at a time. @throws {TypeError} when the key or the limit is not allowed */
  semaphore(key: string, limit: number): Semaphore {
    return new Semaphore(this, key, limit)
  }

  /**
   * Does the work unless someone else does or has done it, and then gives back that result, which must be JSON.
   * `timeoutMs` and `signal` bound all that comes before the work, `verify` and the forgetting of what it refused too;
   * the work has its lease's signal.
   *
   * @throws {TypeError} when the key or an option is not allowed
   * @throws what `work` throws, after the next in line was told; a result that the server refuses counts as such
   * @throws what `verify` throws
   * @throws {LeaseLostError} when the lease was lost before the result was told; others may do the work again
   * @throws {LockTimeoutError} after `timeoutMs`
   * @throws {LockFailedError} when others have failed for good, or too often in a row
   * @throws {LockServerUnavailableError} when the server has been away for too long
   * @throws the signal's reason
   * @throws {OutcomeInvalidError} when `verify` refused a result, and the one that somebody else left then as well
   */
  async once<T>(key: string, work: (lease: Lease) => Promise<T>, options: OnceOptions<T> = {}): Promise<OnceResult<T>> {
    checkCall(key, options)
    const found = await this.#bounded(key, options, (signal) => this.#grantOrOutcome(key, options, signal))
    return found instanceof Lease ? this.#work(found, work, options) : found
  }

  /** Waits until nobody holds the key or waits for it, without taking it; resolves with its state then. */
  async wait(key: string, options: WaitOptions = {}): Promise<LockRecord> {
    checkCall(key, options)
    return this.#bounded(key, options, async (signal) => {
      for (;;) {
        const query = { waitMs: MAX_WAIT_MS }
        const record = await this.#call('lock', { key, query, parkedMs: MAX_WAIT_MS, signal })
        if (record.state !== 'held' && record.state !== 'queued') return record
      }
    })
  }

  /** The key's state now. */
  async poll(key: string, { signal }: CallOptions = {}): Promise<LockRecord> {
    checkKey(key)
    return this.#call('lock', { key, signal })
  }

  /**
   * What happens to the keys with this prefix, as an async iterator that resumes by itself where its connection breaks.
   * Needs no session. Leaving the loop, `signal` and `close()` end it; see {@link Watch}.
   *
   * @throws {TypeError} when an argument is not allowed
   * @example
   * for await (const event of locks.watch('reports/')) if (event.type === 'completed') console.log(event.key)
   */
  watch(prefix = '', options: WatchOptions = {}): Watch {
    checkPrefix(prefix, options.lastEventId)
    const { unavailableTimeoutMs } = this.#options
    const parts = { connector: this.#connector, budget: this.#budget, closed: this.#keeper.closed }
    return new Watch({ ...parts, prefix, unavailableTimeoutMs }, options)
  }

  /** A wish that is asked step by step; see {@link Ticket}. @throws {TypeError} when the key or an option is not allowed */
  ticket(key: string, wish: Wish = {}): Ticket {
    checkCall(key, wish)
    const { logger, unavailableTimeoutMs } = this.#options
    const parts = { api: this.#api, keeper: this.#keeper, budget: this.#budget, logger }
    return new Ticket({ ...parts, key, wish, unavailableTimeoutMs })
  }

  /** Forgets the key's outcome; with `ifToken` only the one with this token. Resolves with whether there was one. */
  async forget(key: string, { ifToken, signal }: ForgetOptions = {}): Promise<boolean> {
    checkKey(key)
    const { forgotten } = await this.#call('forget', { key, query: { ifToken }, signal })
    return forgotten
  }

  /** Says what this session has, and has no longer: up to 1,000 keys of each. */
  async updateCopies(
    copies: { add?: string[]; remove?: string[] },
    { signal }: CallOptions = {},
  ): Promise<CopiesUpdated> {
    return this.#retry(signal, async (either) => {
      for (;;) {
        const session = await orAborted(this.#keeper.current(), either)
        try {
          return await this.#api.call('copies', { sessionId: session.id, body: copies, signal: either })
        } catch (error) {
          if (!(error instanceof SessionExpiredError)) throw error
          session.end(error)
        }
      }
    })
  }

  /** The live sessions of all clients. */
  async nodes({ signal }: CallOptions = {}): Promise<LiveNode[]> {
    return (await this.#call('nodes', { signal })).nodes
  }

  /** Opens the session now rather than at the first use. One try. */
  async connect({ signal }: CallOptions = {}): Promise<void> {
    signal?.throwIfAborted()
    await orAborted(this.#keeper.current(), signal)
  }

  /**
   * Renews the session now rather than with its next heartbeat, if there is one. One try. For a program that may have
   * been cut off or suspended and wants to know at once what it still holds.
   *
   * @throws {SessionExpiredError} when the session has ended; the signals of its leases are aborted by then
   */
  async renew({ signal }: CallOptions = {}): Promise<void> {
    signal?.throwIfAborted()
    await orAborted(this.#keeper.renew(), signal)
  }

  /**
   * Ends the session, and with it all leases and wishes of this client. Every call that is pending, and every later one,
   * rejects with {@link ClientClosedError} at once. Resolves, for all who call it, when the server has confirmed the end
   * of the session or has not answered for `tryTimeoutMs` (the keys stay held until the TTL is over then). Does not throw.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #close(): Promise<void> {
    // First of all, as that ends what is pending: the session takes its tickets along, also those being cancelled.
    const closing = this.#keeper.close()
    await Promise.all(this.#cancelling)
    await closing
    await this.#api[Symbol.asyncDispose]()
  }

  /** The lease to work under, or what somebody else left, if `verify` is content with it. */
  async #grantOrOutcome<T>(
    key: string,
    { verify = () => true, ...options }: OnceOptions<T>,
    signal: AbortSignal | undefined,
  ): Promise<Lease | OnceResult<T>> {
    for (let refused = 0; ; refused++) {
      const answer = await this.#settle(key, wishOf(options), { signal })
      if (answer.status === 'granted') return answer.lease
      if (answer.status !== 'done') throw new LeaseLostError(`the lock server answered ${answer.status}`, { key })
      const value = answer.value as T
      const isValid = await orAborted((async () => verify(value))(), signal)
      if (isValid) return { ran: false, value, by: answer.by.node, attempts: 0, ageMs: answer.ageMs }
      if (refused > 0) throw new OutcomeInvalidError(answer.fencingToken, { key })
      // By its token: of many who refuse it at once one forgets it, and the outcome that follows stays.
      await this.forget(key, { ifToken: answer.fencingToken, signal })
    }
  }

  /** Does the work under its lease, and tells how it ended. */
  async #work<T>(
    granted: Lease,
    work: (lease: Lease) => Promise<T>,
    { retainMs }: OnceOptions<T>,
  ): Promise<OnceResult<T>> {
    await using lease = granted
    let value: T
    try {
      value = await work(lease)
      await lease.complete({ value, retainMs })
    } catch (error) {
      await lease.fail(workErrorOf(error)).catch((lost: unknown) => {
        this.#options.logger.debug({ err: lost, key: lease.key }, 'the failure could not be told')
      })
      throw error
    }
    return { ran: true, value, by: this.#options.node, attempts: lease.attempt, ageMs: 0 }
  }

  /** Asks until the wish is no longer queued. Leaves the queue when that does not work out. */
  async #settle(key: string, wish: Wish, options: WaitOptions): Promise<Exclude<TicketAnswer, { status: 'queued' }>> {
    const ticket = this.ticket(key, wish)
    try {
      return await this.#bounded(key, options, async (signal) => {
        for (;;) {
          const answer = await ticket.next({ signal })
          if (answer.status === 'failed') {
            const { error, attempts, retryAfterMs } = answer
            throw new LockFailedError(error, attempts, { key, retryAfterMs })
          }
          if (answer.status !== 'queued') return answer
        }
      })
    } catch (error) {
      if (!(error instanceof LockFailedError)) this.#cancelLater(ticket)
      throw error
    }
  }

  /** Runs something under the caller's signal and time limit, telling the two apart. */
  async #bounded<T>(
    key: string,
    { signal, timeoutMs }: WaitOptions,
    run: (signal: AbortSignal | undefined) => Promise<T>,
  ): Promise<T> {
    signal?.throwIfAborted()
    if (timeoutMs === undefined || timeoutMs > MAX_DELAY_MS) return run(signal)
    using scope = new AbortScope([signal], timeoutMs)
    try {
      return await run(scope.signal)
    } catch (cause) {
      if (!scope.isTimedOut) throw cause
      throw new LockTimeoutError(`${key}: not there within ${timeoutMs} ms`, { key, cause })
    }
  }

  #cancelLater(ticket: Ticket): void {
    const cancelling = ticket.cancel().finally(() => this.#cancelling.delete(cancelling))
    this.#cancelling.add(cancelling)
  }

  /** A call that needs no session. */
  #call<Name extends RouteName>(name: Name, options: ApiOptions<Name>): Promise<AnswerOf<Name>> {
    return this.#retry(options.signal, (signal) => this.#api.call(name, { ...options, signal }))
  }

  /** Retries under the caller's signal, and until the client is closed. */
  async #retry<T>(signal: AbortSignal | undefined, attempt: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { closed } = this.#keeper
    using scope = signal === undefined ? undefined : new AbortScope([signal, closed])
    const either = scope?.signal ?? closed
    const giveUpMs = this.#options.unavailableTimeoutMs
    return await retry(() => attempt(either), { giveUpMs, budget: this.#budget, signal: either })
  }
}
