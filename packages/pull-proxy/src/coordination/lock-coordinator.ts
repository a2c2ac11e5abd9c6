import { LockClient, LockError, LockFailedError } from '@layerlock/client'
import type { FastifyBaseLogger } from 'fastify'
import type { Digest } from '../oci/digest.ts'
import { OciError, parseOciErrorCode } from '../oci/oci-error.ts'
import type { Claim, CoordinationStatus, Coordinator, ShareOptions } from './coordinator.ts'
import { Degradation } from './degradation.ts'
import { blobKey, LockClaim } from './lock-claim.ts'

export interface LockCoordinatorOptions {
  readonly url: string
  readonly token: string | undefined
  readonly node: string
  /** The base URL of this node's peer API. */
  readonly endpoint: string
  readonly sessionTtlMs: number
  readonly lockTimeoutMs: number
  /** The session of this proxy's last life. */
  readonly resume: string | undefined
  /** Told of each new session's id, to be kept for the next life. */
  readonly onSession: (id: string) => void
  /** What this node has, announced to each new session. */
  readonly digests: () => Iterable<Digest>
  readonly logger: FastifyBaseLogger
}

/** How long the session outlives the process: its connection's end is noticed at once, its words may still come. */
const DISCONNECT_GRACE_MS = 1_000
const COPIES_PER_CALL = 1_000

/** Coordination through a lock server. */
export class LockCoordinator implements Coordinator {
  readonly #options: LockCoordinatorOptions
  readonly #locks: LockClient
  readonly #degradation = new Degradation()

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
  }

  /** Opens the session, so that this node is known before the first pull. Its failure costs nothing: it is tried again. */
  async connect(): Promise<void> {
    try {
      await this.#locks.connect()
    } catch (error) {
      this.#options.logger.warn({ err: error }, 'the lock server does not answer; pulls go on without it')
    }
  }

  claim(digest: Digest, group: string): Claim {
    const { lockTimeoutMs, logger } = this.#options
    return new LockClaim({ locks: this.#locks, degradation: this.#degradation, logger, digest, group, lockTimeoutMs })
  }

  async share<T>(key: string, work: () => Promise<T>, { retainMs, group, signal }: ShareOptions): Promise<T> {
    if (this.#degradation.isOpen()) return this.#alone(work)
    let ours: OciError | undefined
    let done: { readonly value: T } | undefined
    const told = async (lease: { fail(e: OciError, o: object): Promise<void> }) => {
      try {
        const value = await work()
        done = { value }
        return value
      } catch (error) {
        if (error instanceof OciError) {
          ours = error
          await lease
            .fail(error, { permanent: error.permanent, retryAfterMs: error.retryAfterMs })
            .catch(() => undefined)
        }
        throw error
      }
    }
    try {
      const { value } = await this.#locks.once(key, told, { retainMs, group, signal })
      this.#degradation.recovered()
      return value
    } catch (error) {
      // It could not be shared, but it is there.
      if (done !== undefined) return done.value
      signal.throwIfAborted()
      if (ours !== undefined || !(error instanceof LockError)) throw ours ?? error
      if (error instanceof LockFailedError) {
        const { retryAfterMs } = error
        throw new OciError(parseOciErrorCode(error.error.code), error.error.message, { retryAfterMs })
      }
      this.#options.logger.warn({ err: error, key }, 'the lock server does not answer; going on without it')
      this.#degradation.failed()
      return this.#alone(work)
    }
  }

  async withdraw(digests: readonly Digest[]): Promise<void> {
    await this.#updateCopies('remove', digests)
  }

  status(): CoordinationStatus {
    return { degradedPulls: this.#degradation.pulls, degraded: this.#degradation.active }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#locks.close()
  }

  #alone<T>(work: () => Promise<T>): Promise<T> {
    this.#degradation.countPull()
    return work()
  }

  #onSession({ id, resumed }: { readonly id: string; readonly resumed: boolean }): void {
    this.#degradation.recovered()
    this.#options.onSession(id)
    if (!resumed) void this.#updateCopies('add', [...this.#options.digests()])
  }

  async #updateCopies(change: 'add' | 'remove', digests: readonly Digest[]): Promise<void> {
    for (let start = 0; start < digests.length; start += COPIES_PER_CALL) {
      const keys = digests.slice(start, start + COPIES_PER_CALL).map(blobKey)
      try {
        await this.#locks.updateCopies({ [change]: keys })
      } catch (error) {
        // The next session announces everything again.
        this.#options.logger.warn({ err: error, change, keys: keys.length }, 'copies could not be announced')
      }
    }
  }
}
