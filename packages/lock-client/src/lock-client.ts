import type { CopiesUpdated, LiveNode, LockRecord, OpenSession } from '@layerlock/protocol'
import { MAX_WAIT_MS } from '@layerlock/protocol'
import { type CheckedOptions, checkOptions, type LockClientOptions } from './client-options.ts'
import { LeaseLostError, LockFailedError, LockTimeoutError, SessionExpiredError } from './errors.ts'
import type { Lease } from './lease.ts'
import { type AnswerOf, type CallOptions, LockApi, type RouteName } from './lock-api.ts'
import { retry } from './retry.ts'
import { orAborted } from './sleep.ts'
import { SessionKeeper } from './session-keeper.ts'
import { Ticket, type TicketAnswer, type Wish } from './ticket.ts'
import { FetchTransport, UndiciTransport } from './transport.ts'

export interface WaitOptions {
  readonly signal?: AbortSignal | undefined
  /** How long the whole call may take, in milliseconds. Default: as long as it takes. */
  readonly timeoutMs?: number | undefined
}

export interface AcquireOptions extends WaitOptions {
  /** How many may hold the key at a time; all its users must name the same. Default 1. */
  readonly limit?: number | undefined
  /** Ends the hold after this time however alive the session is, in milliseconds. Default: never. */
  readonly maxHoldMs?: number | undefined
  /** A permanent failure counts for wishes of the same group only. */
  readonly group?: string | undefined
}

export interface OnceOptions extends AcquireOptions {
  /** How long the result is kept for those who ask later, in milliseconds. Default: the server's (60,000). */
  readonly retainMs?: number | undefined
}

export interface OnceResult<T> {
  /** Whether the work was done by this call. */
  readonly ran: boolean
  readonly value: T
  /** The node that did the work. */
  readonly by: string
  /** The grants that it took in a row, this one included; 0 when the work was done already. */
  readonly attempts: number
}

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
  readonly #cancelling = new Set<Promise<void>>()

  /** @throws {TypeError} when an option is not allowed */
  constructor(options: LockClientOptions = {}) {
    const checked = checkOptions(options)
    const { url, token, tryTimeoutMs, logger, onSession } = checked
    const transport = checked.fetch === undefined ? new UndiciTransport() : new FetchTransport(checked.fetch)
    this.#options = checked
    this.#api = new LockApi({ url, token, tryTimeoutMs, transport })
    this.#keeper = new SessionKeeper({ api: this.#api, logger, request: sessionRequest(checked), onOpened: onSession })
  }

  /**
   * Waits for the key and holds it, like a mutex: outcomes are neither read nor left behind.
   *
   * @throws {LockTimeoutError} after `timeoutMs`
   * @throws {LockFailedError} when holders before have failed for good, or too often in a row
   * @throws {LockServerUnavailableError} when the server has been away for too long
   */
  async acquire(key: string, options: AcquireOptions = {}): Promise<Lease> {
    const answer = await this.#settle(key, { ...wishOf(options), ignoreOutcome: true }, options)
    if (answer.status === 'granted') return answer.lease
    throw new LeaseLostError(`the lock server answered ${answer.status} to a mutex`, { key })
  }

  /** Holds the key if it is free now; undefined if it is not. */
  async tryAcquire(key: string, options: AcquireOptions = {}): Promise<Lease | undefined> {
    const answer = await this.#settle(key, { ...wishOf(options), ignoreOutcome: true, enqueue: false }, options)
    return answer.status === 'granted' ? answer.lease : undefined
  }

  /**
   * Does the work unless someone else does or has done it, and then gives back that result, which must be JSON.
   *
   * @throws what `work` throws, after the next in line was told; a result that the server refuses counts as such
   * @throws {LockFailedError} when others have failed for good, or too often in a row
   */
  async once<T>(key: string, work: (lease: Lease) => Promise<T>, options: OnceOptions = {}): Promise<OnceResult<T>> {
    const answer = await this.#settle(key, wishOf(options), options)
    if (answer.status === 'done') {
      return { ran: false, value: answer.value as T, by: answer.by.node, attempts: 0 }
    }
    if (answer.status !== 'granted') throw new LeaseLostError(`the lock server answered ${answer.status}`, { key })
    await using lease = answer.lease
    let value: T
    try {
      value = await work(lease)
      await lease.complete({ value, retainMs: options.retainMs })
    } catch (error) {
      await lease.fail(describe(error)).catch((lost: unknown) => {
        this.#options.logger.debug({ err: lost, key }, 'the failure could not be told')
      })
      throw error
    }
    return { ran: true, value, by: this.#options.node, attempts: lease.attempt }
  }

  /** Waits until nobody holds the key or waits for it, without taking it; resolves with its state then. */
  async wait(key: string, options: WaitOptions = {}): Promise<LockRecord> {
    return this.#bounded(key, options, async (signal) => {
      for (;;) {
        const query = { waitMs: MAX_WAIT_MS }
        const record = await this.#call('lock', { key, query, parkedMs: MAX_WAIT_MS, signal })
        if (record.state !== 'held' && record.state !== 'queued') return record
      }
    })
  }

  /** The key's state now. */
  poll(key: string, { signal }: { signal?: AbortSignal | undefined } = {}): Promise<LockRecord> {
    return this.#call('lock', { key, signal })
  }

  /** A wish that is asked step by step; see {@link Ticket}. */
  ticket(key: string, wish: Wish = {}): Ticket {
    const { logger, unavailableTimeoutMs } = this.#options
    return new Ticket({ api: this.#api, keeper: this.#keeper, logger, key, wish, unavailableTimeoutMs })
  }

  /** Forgets the key's outcome; with `ifToken` only the one with this token. Resolves with whether there was one. */
  async forget(key: string, { ifToken, signal }: { ifToken?: number; signal?: AbortSignal } = {}): Promise<boolean> {
    const { forgotten } = await this.#call('forget', { key, query: { ifToken }, signal })
    return forgotten
  }

  /** Says what this session has, and has no longer: up to 1,000 keys of each. */
  async updateCopies(
    copies: { add?: string[]; remove?: string[] },
    { signal }: { signal?: AbortSignal | undefined } = {},
  ): Promise<CopiesUpdated> {
    return retry(
      async () => {
        for (;;) {
          const session = await orAborted(this.#keeper.current(), signal)
          try {
            return await this.#api.call('copies', { sessionId: session.id, body: copies, signal })
          } catch (error) {
            if (!(error instanceof SessionExpiredError)) throw error
            session.end(error)
          }
        }
      },
      { giveUpMs: this.#options.unavailableTimeoutMs, signal },
    )
  }

  /** The live sessions of all clients. */
  async nodes({ signal }: { signal?: AbortSignal | undefined } = {}): Promise<LiveNode[]> {
    return (await this.#call('nodes', { signal })).nodes
  }

  /** Opens the session now rather than at the first use. One try. */
  async connect(): Promise<void> {
    await this.#keeper.current()
  }

  /** Ends the session, and with it all leases and wishes of this client. Does not throw. */
  async close(): Promise<void> {
    await Promise.all(this.#cancelling)
    await this.#keeper.close()
    await this.#api[Symbol.asyncDispose]()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
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
    if (timeoutMs === undefined) return run(signal)
    const timeout = AbortSignal.timeout(Math.ceil(timeoutMs))
    try {
      return await run(signal === undefined ? timeout : AbortSignal.any([signal, timeout]))
    } catch (cause) {
      if (!timeout.aborted || signal?.aborted === true) throw cause
      throw new LockTimeoutError(`${key}: not there within ${timeoutMs} ms`, { key, cause })
    }
  }

  #cancelLater(ticket: Ticket): void {
    const cancelling = ticket.cancel().finally(() => this.#cancelling.delete(cancelling))
    this.#cancelling.add(cancelling)
  }

  #call<Name extends RouteName>(name: Name, options: CallOptions<Name>): Promise<AnswerOf<Name>> {
    const { unavailableTimeoutMs: giveUpMs } = this.#options
    return retry(() => this.#api.call(name, options), { giveUpMs, signal: options.signal })
  }
}

function wishOf({ limit, maxHoldMs, group }: AcquireOptions): Wish {
  return {
    ...(limit === undefined ? {} : { limit }),
    ...(maxHoldMs === undefined ? {} : { maxHoldMs }),
    ...(group === undefined ? {} : { group }),
  }
}

function sessionRequest({ node, endpoint, sessionTtlMs, disconnectGraceMs, resume }: CheckedOptions): OpenSession {
  return {
    node,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(sessionTtlMs === undefined ? {} : { ttlMs: sessionTtlMs }),
    ...(disconnectGraceMs === undefined ? {} : { disconnectGraceMs }),
    ...(resume === undefined ? {} : { resume }),
  }
}

/** An error in the form in which it travels: its code (or name) and message, no stack. */
function describe(error: unknown): { code: string; message: string } {
  if (!(error instanceof Error)) return { code: 'error', message: String(error) }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name
  return { code, message: error.message }
}
