import type { OpenSession } from '@layerlock/protocol'
import { backoffMs } from './backoff.ts'
import { publish } from './diagnostics.ts'
import { ClientClosedError, SessionExpiredError } from './errors.ts'
import { LiveSession } from './live-session.ts'
import type { LockApi } from './lock-api.ts'
import type { Logger } from './logger.ts'
import { retry } from './retry.ts'
import { sleep } from './sleep.ts'

export interface SessionKeeperOptions {
  readonly api: LockApi
  readonly logger: Logger
  readonly request: OpenSession
  /** Told of each session that was opened, before anyone uses it. */
  readonly onOpened?: ((session: { readonly id: string; readonly resumed: boolean }) => void) | undefined
}

/** The longest a renewal is parked, below what load balancers and the server allow. */
const MAX_PARKED_MS = 20_000

/** Keeps one session open: from its first use until it is closed, with a new one after each loss. */
export class SessionKeeper {
  readonly #options: SessionKeeperOptions
  readonly #closed = new AbortController()
  #resume: string | undefined
  #session: LiveSession | undefined
  #opening: Promise<LiveSession> | undefined
  #closing: Promise<void> | undefined

  constructor(options: SessionKeeperOptions) {
    this.#options = options
    this.#resume = options.request.resume
  }

  /** Aborted, with a {@link ClientClosedError}, when this is closed. */
  get closed(): AbortSignal {
    return this.#closed.signal
  }

  /** The live session; opens one when there is none. One try: throws what the opening throws. */
  async current(): Promise<LiveSession> {
    if (this.#closed.signal.aborted) throw new ClientClosedError()
    if (this.#session?.isLive() === true) return this.#session
    this.#opening ??= this.#open().finally(() => (this.#opening = undefined))
    return this.#opening
  }

  /**
   * Ends the session, and with it everything that it holds or waits for. Resolves, for all who call it, when the server
   * has confirmed that, or had the time of one try for it. Does not throw.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#closed.abort(new ClientClosedError())
    // An opening is cut short by that, unless its answer is there already.
    const session = (await this.#opening?.catch(() => undefined)) ?? this.#session
    if (session?.isLive() !== true) return
    session.end(new ClientClosedError())
    try {
      await this.#options.api.call('closeSession', { sessionId: session.id })
    } catch (error) {
      this.#options.logger.debug({ err: error }, 'the session could not be closed; it will expire')
    }
  }

  /**
   * Renews the session now, where there is one. One try.
   *
   * @throws {SessionExpiredError} when it has ended, of which its leases are told at once
   */
  async renew(): Promise<void> {
    if (this.#closed.signal.aborted) throw new ClientClosedError()
    const session = this.#session
    if (session?.isLive() !== true) return
    try {
      await this.#renew(session, 0)
    } catch (error) {
      if (error instanceof SessionExpiredError) session.end(error)
      throw error
    }
  }

  async #open(): Promise<LiveSession> {
    const { api, request, logger, onOpened } = this.#options
    const { resume: _, ...body } = request
    const sentAtMs = performance.now()
    const opened = await api.call('openSession', {
      body: this.#resume === undefined ? body : { ...body, resume: this.#resume },
      signal: this.#closed.signal,
    })
    const session = new LiveSession(opened, sentAtMs)
    this.#session = session
    this.#resume = opened.id
    publish('session:opened', { node: request.node, ttlMs: opened.ttlMs, resumed: opened.resumed })
    logger.debug({ ttlMs: opened.ttlMs, resumed: opened.resumed }, 'session opened')
    void this.#keepAlive(session)
    try {
      onOpened?.({ id: opened.id, resumed: opened.resumed })
    } catch (error) {
      logger.warn({ err: error }, 'onSession failed')
    }
    return session
  }

  /** Renews until the session ends, then opens another one. Never rejects. */
  async #keepAlive(session: LiveSession): Promise<void> {
    const parks = this.#options.request.disconnectGraceMs !== undefined
    const intervalMs = session.ttlMs / 3
    for (let failures = 0; session.isLive();) {
      const waitMs = failures > 0 ? backoffMs(failures, { firstMs: 50, greatestMs: intervalMs / 2 }) : intervalMs
      try {
        // A parked renewal is itself the pause: its connection tells the server that this process is alive.
        if (failures > 0 || !parks) await sleep(waitMs, { signal: session.signal, background: true })
        await this.#renew(session, parks && failures === 0 ? Math.min(session.ttlMs / 4, MAX_PARKED_MS) : 0)
        failures = 0
      } catch (error) {
        failures++
        if (error instanceof SessionExpiredError) session.end(error)
        else if (session.isLive()) this.#options.logger.warn({ err: error }, 'the session could not be renewed')
      }
    }
    if (!this.#closed.signal.aborted) {
      publish('session:lost', { node: this.#options.request.node, error: session.signal.reason as Error })
    }
    await this.#reopen()
  }

  async #renew(session: LiveSession, parkedMs: number): Promise<void> {
    const sentAtMs = performance.now()
    await this.#options.api.call('renewSession', {
      sessionId: session.id,
      body: parkedMs === 0 ? {} : { waitMs: Math.floor(parkedMs) },
      parkedMs,
      // Short enough that one try which hangs does not cost the session.
      tryTimeoutMs: session.ttlMs / 4,
      signal: session.signal,
    })
    session.renewed(sentAtMs)
  }

  async #reopen(): Promise<void> {
    const { logger } = this.#options
    const { signal } = this.#closed
    while (!signal.aborted) {
      logger.warn({}, 'the session was lost; opening another one')
      try {
        await retry(() => this.current(), { giveUpMs: Infinity, signal, background: true })
        return
      } catch (error) {
        if (signal.aborted) return
        logger.warn({ err: error }, 'no session could be opened')
        await sleep(backoffMs(10), { signal, background: true }).catch(() => undefined)
      }
    }
  }
}
