import { LockClient, LockError, LockFailedError, LockTimeoutError } from '@layerlock/client'
import type { FastifyBaseLogger } from 'fastify'
import type { ContentId } from '../oci/content-id.ts'
import { OciError } from '../oci/oci-error.ts'
import { NO_PLACE, type Place } from '../upstream/request-gate.ts'
import type { Claim, CoordinationStatus, Coordinator, Shared, SharedWork, ShareOptions } from './coordinator.ts'
import { CopyAnnouncer } from './copy-announcer.ts'
import { Degradation, isAway } from './degradation.ts'
import { failOptions, LockClaim, toldError } from './lock-claim.ts'
import { takeLockPlace } from './lock-place.ts'

export interface LockCoordinatorOptions {
  readonly url: string
  readonly token: string | undefined
  readonly node: string
  /** The base URL of this node's peer API. */
  readonly endpoint: string
  readonly sessionTtlMs: number
  readonly lockTimeoutMs: number
  /** How long another node may take for work that is shared, in milliseconds; then it is given up here. Default 10,000. */
  readonly maxShareWaitMs?: number | undefined
  /** The session of this proxy's last life. */
  readonly resume: string | undefined
  /** Told of each new session's id, to be kept for the next life. */
  readonly onSession: (id: string) => void
  /** What this node has, announced to each new session. */
  readonly contents: () => Iterable<ContentId>
  readonly logger: FastifyBaseLogger
}

/** How long the session outlives the process: its connection's end is noticed at once, its words may still come. */
const DISCONNECT_GRACE_MS = 1_000
const MAX_SHARE_WAIT_MS = 10_000

/** Coordination through a lock server. */
export class LockCoordinator implements Coordinator {
  readonly #options: LockCoordinatorOptions
  readonly #locks: LockClient
  readonly #degradation = new Degradation()
  readonly #announcer: CopyAnnouncer

  constructor(options: LockCoordinatorOptions) {
    const { url, token, node, endpoint, sessionTtlMs, lockTimeoutMs, resume, logger } = options
    this.#options = options
    this.#locks = new LockClient({
      url,
      token,
      node,
      endpoint,
      sessionTtlMs,
      resume,
      logger,
      disconnectGraceMs: DISCONNECT_GRACE_MS,
      tryTimeoutMs: lockTimeoutMs,
      unavailableTimeoutMs: lockTimeoutMs,
      onSession: (session) => this.#onSession(session),
    })
    this.#announcer = new CopyAnnouncer(this.#locks, lockTimeoutMs, logger)
  }

  /** Opens the session, so that this node is known before the first pull. Its failure costs nothing: it is tried again. */
  async connect(): Promise<void> {
    try {
      await this.#locks.connect()
    } catch (error) {
      this.#options.logger.warn({ err: error }, 'the lock server does not answer; pulls go on without it')
    }
  }

  claim(id: ContentId, group: string): Claim {
    const { lockTimeoutMs, logger } = this.#options
    return new LockClaim({
      locks: this.#locks,
      announcer: this.#announcer,
      degradation: this.#degradation,
      logger,
      id,
      group,
      lockTimeoutMs,
    })
  }

  async share<T>(key: string, work: SharedWork<T>, options: ShareOptions): Promise<Shared<T>> {
    const { retainMs, group, isGood: verify, signal } = options
    if (this.#degradation.isOpen()) return this.#alone(work)
    let ours: OciError | undefined
    let done: { readonly value: T } | undefined
    const told = async (lease: { fail(e: OciError, o: object): Promise<void> }) => {
      try {
        const value = await work(true)
        done = { value }
        return value
      } catch (error) {
        if (error instanceof OciError) {
          ours = error
          await lease.fail(error, failOptions(error)).catch(() => undefined)
        }
        throw error
      }
    }
    try {
      // Within the time for one answer, which a long poll has not.
      await this.#locks.poll(key, { signal })
      const once = { retainMs, group, signal, timeoutMs: this.#options.maxShareWaitMs ?? MAX_SHARE_WAIT_MS, verify }
      const { value, ageMs } = await this.#locks.once(key, told, once)
      this.#degradation.recovered()
      return { value, ageMs }
    } catch (error) {
      // It could not be shared, but it is there.
      if (done !== undefined) return { value: done.value, ageMs: 0 }
      signal.throwIfAborted()
      if (ours !== undefined || !(error instanceof LockError)) throw ours ?? error
      if (error instanceof LockFailedError) throw toldError(error.error, error.retryAfterMs)
      // Someone works on it. Each node that did the same beside would ask an upstream that is slow already.
      if (error instanceof LockTimeoutError) {
        throw new OciError('UNKNOWN', 'another node is still asking upstream', { cause: error })
      }
      this.#options.logger.warn({ err: error, key }, 'the lock server is of no help; going on without it')
      if (isAway(error)) this.#degradation.failed()
      return this.#alone(work)
    }
  }

  async publish(
    key: string,
    value: unknown,
    retainMs: number,
    unless: (known: Shared<unknown>) => boolean = () => false,
  ): Promise<void> {
    if (this.#degradation.isOpen()) return
    const timeoutMs = this.#options.lockTimeoutMs
    try {
      await using lease = await this.#locks.acquire(key, { timeoutMs })
      const known = await this.#read(key)
      if (known !== undefined && unless(known)) return
      await lease.complete({ value, retainMs })
    } catch (error) {
      this.#options.logger.debug({ err: error, key }, 'a value could not be published')
    }
  }

  async lookUp(key: string): Promise<Shared<unknown> | undefined> {
    if (this.#degradation.isOpen()) return undefined
    try {
      return await this.#read(key)
    } catch (error) {
      this.#options.logger.debug({ err: error, key }, 'a value could not be looked up')
      return undefined
    }
  }

  async takePlace(key: string, limit: number, signal: AbortSignal): Promise<Place> {
    if (this.#degradation.isOpen()) return NO_PLACE
    const { lockTimeoutMs, logger } = this.#options
    const parts = { locks: this.#locks, degradation: this.#degradation, lockTimeoutMs, logger }
    return takeLockPlace(parts, { key, limit, signal })
  }

  async withdraw(ids: readonly ContentId[]): Promise<void> {
    await this.#announcer.withdraw(ids)
  }

  status(): CoordinationStatus {
    return { degradedPulls: this.#degradation.pulls, degraded: this.#degradation.active }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#announcer[Symbol.dispose]()
    await this.#locks.close()
  }

  async #alone<T>(work: SharedWork<T>): Promise<Shared<T>> {
    this.#degradation.countPull()
    return { value: await work(false), ageMs: 0 }
  }

  async #read(key: string): Promise<Shared<unknown> | undefined> {
    const timeout = AbortSignal.timeout(this.#options.lockTimeoutMs)
    try {
      const { outcome } = await this.#locks.poll(key, { signal: timeout })
      return outcome === undefined ? undefined : { value: outcome.value, ageMs: outcome.ageMs }
    } catch (error) {
      // So that not each request in turn waits for it.
      if (timeout.aborted || isAway(error)) this.#degradation.failed()
      throw error
    }
  }

  #onSession({ id }: { readonly id: string }): void {
    this.#degradation.recovered()
    this.#options.onSession(id)
    void this.#announcer.announce(this.#options.contents())
  }
}
