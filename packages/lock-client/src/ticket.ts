import { randomUUID } from 'node:crypto'
import { type Acquire, type Busy, type Done, type Failed, MAX_WAIT_MS, type Queued } from '@layerlock/protocol'
import { AbortScope } from './abort-scope.ts'
import { backoffMs } from './backoff.ts'
import type { AcquireOptions, CallOptions } from './call-options.ts'
import { LeaseLostError, LockError, SessionExpiredError } from './errors.ts'
import { Lease } from './lease.ts'
import type { LiveSession } from './live-session.ts'
import type { LockApi } from './lock-api.ts'
import type { Logger } from './logger.ts'
import type { SessionKeeper } from './session-keeper.ts'
import { pauseBeforeRetry, retry } from './retry.ts'
import type { RetryBudget } from './retry-budget.ts'
import { orAborted, sleep } from './sleep.ts'

/** What a wish can be; see the calls that take it. */
export type Wish = Omit<Acquire, 'ticket' | 'waitMs'>

/** The state of a wish: as the server answers it, with the lease where it is granted. */
export type TicketAnswer = { readonly status: 'granted'; readonly lease: Lease } | Queued | Busy | Done | Failed

interface TicketParts {
  readonly api: LockApi
  readonly keeper: SessionKeeper
  readonly logger: Logger
  readonly budget: RetryBudget
  readonly key: string
  readonly wish: Wish
  readonly unavailableTimeoutMs: number
}

/** How many long polls may fail in a row before their place is taken by plain polling. */
const LONG_POLL_FAILURES = 2
/** In plain polling, every so many polls a long one is tried again. */
const LONG_POLL_EVERY = 8

/**
 * One wish for one key, which may be asked again and again: the same wish never queues twice. Most programs want
 * `LockClient.acquire` or `once`; a ticket is for those that do something useful while they wait.
 */
export class Ticket {
  readonly key: string
  readonly #parts: TicketParts
  #id = randomUUID()
  #session: LiveSession | undefined
  /** Set by what ends the wish for good; until then a ticket that the server has ended is replaced by a new one. */
  #over = false
  #failedPolls = 0
  /** Whether the server has answered before. */
  #asked = false
  /** Whether a request of the present name may still be on its way to the server. */
  #unanswered = false

  constructor(parts: TicketParts) {
    this.#parts = parts
    this.key = parts.key
  }

  /** What the server knows the wish by: another one after the session, or an offer that came too late, was lost. */
  get id(): string {
    return this.#id
  }

  /**
   * Asks once, and at once learns the state as it is now.
   *
   * @throws {LockServerUnavailableError} when there was no answer. The ticket may be in line all the same, or hold the key:
   * ask again, or cancel.
   */
  ask({ signal }: CallOptions = {}): Promise<TicketAnswer> {
    return this.#ask(0, signal)
  }

  /**
   * Waits until there is something new: granted, done, failed, another source, or nothing for 25 s. Long polls; where
   * they do not come through, polls with backoff and full jitter.
   *
   * @throws {LockServerUnavailableError} when the server has been away for `unavailableTimeoutMs`
   */
  async next({ signal }: CallOptions = {}): Promise<TicketAnswer> {
    const { budget, unavailableTimeoutMs } = this.#parts
    let awaySinceMs: number | undefined
    budget.firstTry()
    for (let failures = 0; ;) {
      const plain = this.#failedPolls >= LONG_POLL_FAILURES && this.#failedPolls % LONG_POLL_EVERY !== 0
      try {
        // The first time without waiting, which can go out together with other calls: a free key needs no more.
        const isFirst = !this.#asked
        const answer = await this.#ask(plain || isFirst || failures > 0 ? 0 : MAX_WAIT_MS, signal)
        if (isFirst && answer.status === 'queued' && answer.source === undefined) continue
        if (failures > 0) budget.recovered()
        if (!plain) this.#failedPolls = failures > 0 ? this.#failedPolls : 0
        else if (answer.status === 'queued') await sleep(backoffMs(this.#failedPolls++), { signal })
        return answer
      } catch (error) {
        if (!(error instanceof LockError) || !error.retryable) throw error
        this.#failedPolls++
        // Not from the start, as in `retry`.
        awaySinceMs ??= performance.now()
        const giveUpMs = unavailableTimeoutMs - (performance.now() - awaySinceMs)
        using scope = new AbortScope([signal, this.#parts.keeper.closed])
        await pauseBeforeRetry(error, failures++, { giveUpMs, budget, signal: scope.signal })
      }
    }
  }

  /**
   * Leaves the queue, or gives back what was just granted. Does not throw: when the server is away this goes on in the
   * background, until it is done or the session, and with it the ticket, has ended.
   */
  async cancel(): Promise<void> {
    this.#over = true
    if (this.#session?.isLive() === true) await this.#cancelAt(this.#session)
  }

  async #cancelAt({ id: sessionId, signal }: LiveSession): Promise<void> {
    const { api, key, logger } = this.#parts
    const body = { ticket: this.#id }
    const cancel = () => api.call('cancel', { key, sessionId, body, signal })
    const failed = (error: unknown) => logger.debug({ err: error, key }, 'a ticket could not be cancelled')
    try {
      await cancel()
    } catch (error) {
      failed(error)
      if (!(error instanceof LockError) || !error.retryable) return
      // Not from the budget, as the endings of a lease: see there.
      void retry(cancel, { giveUpMs: Infinity, signal, background: true }).catch(failed)
    }
  }

  /** Tells others how far this waiter is, in the unit of the work. A report that cannot be delivered is dropped. */
  async progress(done: number, total?: number, { signal }: CallOptions = {}): Promise<void> {
    const session = this.#session
    if (session?.isLive() !== true) return
    const { api, key, logger } = this.#parts
    const body = { ticket: this.id, done, ...(total === undefined ? {} : { total }) }
    const reporting = api
      .call('progress', { key, sessionId: session.id, body })
      .catch((error: unknown) => logger.debug({ err: error, key }, 'progress was not reported'))
    await orAborted(reporting, signal)
  }

  async #ask(waitMs: number, signal: AbortSignal | undefined): Promise<TicketAnswer> {
    const { api, keeper, key, wish, logger } = this.#parts
    for (let losses = 0; ;) {
      signal?.throwIfAborted()
      // The first loss is made good at once; a server that goes on losing what it just gave is not asked in a frenzy.
      if (losses > 1) await sleep(backoffMs(losses), { signal })
      const session = await orAborted(keeper.current(), signal)
      // A session that was resumed remembers the tickets of the one before, as ended.
      if (this.#session !== undefined && this.#session !== session) this.#rename()
      this.#session = session
      using scope = signal === undefined ? undefined : new AbortScope([signal, session.signal])
      const sentAtMs = performance.now()
      try {
        const answer = await api.call('acquire', {
          key,
          sessionId: session.id,
          body: { ...wish, ticket: this.#id, waitMs },
          parkedMs: waitMs,
          signal: scope === undefined ? session.signal : scope.signal,
        })
        this.#asked = true
        if (answer.status === 'queued') return answer
        if (answer.status !== 'granted') {
          if (this.#unanswered) this.#disown(session)
          return answer
        }
        // An answer that took longer than the session lived grants nothing.
        if (!session.isLive()) continue
        // How much of `maxHoldMs` is left counts from when it was asked for, which a long poll does a while ago.
        if (answer.holdMs !== undefined && waitMs > 0) {
          waitMs = 0
          continue
        }
        this.#over = true
        return { status: 'granted', lease: new Lease({ api, logger, key, session, granted: answer, sentAtMs }) }
      } catch (error) {
        signal?.throwIfAborted()
        losses++
        if (error instanceof SessionExpiredError) session.end(error)
        else if (error instanceof LeaseLostError && !this.#over) this.#rename()
        else {
          this.#unanswered = true
          throw error
        }
      }
    }
  }

  #rename(): void {
    this.#id = randomUUID()
    this.#unanswered = false
  }

  /**
   * Sees to it that a request which got no answer, and may arrive yet, takes nothing: the server forgets a ticket that
   * it has told the outcome, and would take it for a new wish.
   */
  #disown(session: LiveSession): void {
    void this.#cancelAt(session)
    this.#rename()
  }
}

/** What the options of a call say of its wish. */
export function wishOf({ limit, maxHoldMs, group }: AcquireOptions): Wish {
  return {
    ...(limit === undefined ? {} : { limit }),
    ...(maxHoldMs === undefined ? {} : { maxHoldMs }),
    ...(group === undefined ? {} : { group }),
  }
}
