import { type Lease, type LockClient, LockError, type Ticket, type TicketAnswer } from '@layerlock/client'
import type { FastifyBaseLogger } from 'fastify'
import type { Digest } from '../oci/digest.ts'
import { OciError, parseOciErrorCode } from '../oci/oci-error.ts'
import type { Claim, ClaimAnswer, Lead } from './coordinator.ts'
import type { Degradation } from './degradation.ts'

export interface LockClaimOptions {
  readonly locks: LockClient
  readonly degradation: Degradation
  readonly logger: FastifyBaseLogger
  readonly digest: Digest
  readonly group: string
  /** How long the lock server may take to answer before the node goes on alone, in milliseconds. */
  readonly lockTimeoutMs: number
}

/** The key of a blob. */
export function blobKey(digest: Digest): string {
  return `blob/${digest}`
}

/** A lead without a lease: the lock server is away, so nobody need be told (fail open, rule 10). */
const UNTOLD: Lead = {
  completed: () => Promise.resolve(),
  failed: () => Promise.resolve(),
  released: () => Promise.resolve(),
}

/** A wish for a blob at the lock server. */
export class LockClaim implements Claim {
  readonly #options: LockClaimOptions
  readonly #key: string
  #ticket: Ticket
  /** Whether the ticket may be in the queue, or hold a lease that nobody took. */
  #isPending = false
  #degraded = false

  constructor(options: LockClaimOptions) {
    this.#options = options
    this.#key = blobKey(options.digest)
    this.#ticket = options.locks.ticket(this.#key, { group: options.group })
  }

  async ask(signal: AbortSignal): Promise<ClaimAnswer> {
    const { degradation, lockTimeoutMs, logger } = this.#options
    if (degradation.isOpen()) return this.#goAlone()
    const timeout = AbortSignal.timeout(lockTimeoutMs)
    try {
      this.#isPending = true
      const answer = await this.#ticket.ask({ signal: AbortSignal.any([signal, timeout]) })
      degradation.recovered()
      return this.#read(answer)
    } catch (error) {
      signal.throwIfAborted()
      if (!timeout.aborted && !(error instanceof LockError)) throw error
      logger.warn({ err: error, key: this.#key }, 'the lock server does not answer; going on without it')
      degradation.failed()
      return this.#goAlone()
    }
  }

  async next(signal: AbortSignal): Promise<ClaimAnswer> {
    return this.#read(await this.#ticket.next({ signal }))
  }

  insist(): void {
    // The old ticket was answered with an outcome: it is in no queue.
    const { locks, group } = this.#options
    this.#ticket = locks.ticket(this.#key, { group, ignoreOutcome: true })
  }

  async forget(outcome: number): Promise<void> {
    const { locks, lockTimeoutMs } = this.#options
    const signal = AbortSignal.timeout(lockTimeoutMs)
    await locks.forget(this.#key, { ifToken: outcome, signal }).catch((error: unknown) => {
      this.#options.logger.debug({ err: error, key: this.#key }, 'an outcome could not be forgotten')
    })
  }

  async arrived(): Promise<void> {
    const { locks, logger, lockTimeoutMs } = this.#options
    // In this order: a wish that is asked again after the copy was announced would withdraw it.
    await this.#cancel()
    if (this.#degraded) return
    const signal = AbortSignal.timeout(lockTimeoutMs)
    await locks.updateCopies({ add: [this.#key] }, { signal }).catch((error: unknown) => {
      logger.debug({ err: error, key: this.#key }, 'a copy could not be announced')
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cancel()
  }

  #read(answer: TicketAnswer): ClaimAnswer {
    this.#isPending = answer.status === 'queued' || answer.status === 'granted'
    if (answer.status !== 'granted') return claimAnswer(answer)
    const onEnd = () => (this.#isPending = false)
    return { kind: 'lead', lead: new LeasedLead(answer.lease, this.#options, onEnd) }
  }

  async #cancel(): Promise<void> {
    // Also after going alone: the server may have granted what it could not tell in time, and would hold others up.
    if (!this.#isPending) return
    this.#isPending = false
    await this.#ticket.cancel()
  }

  #goAlone(): ClaimAnswer {
    if (!this.#degraded) this.#options.degradation.countPull()
    this.#degraded = true
    return { kind: 'lead', lead: UNTOLD }
  }
}

function claimAnswer(answer: Exclude<TicketAnswer, { status: 'granted' }>): ClaimAnswer {
  switch (answer.status) {
    case 'done':
      return { kind: 'copies', copies: answer.copies, outcome: answer.fencingToken }
    case 'failed': {
      const { error, retryAfterMs } = answer
      return { kind: 'refused', error: new OciError(parseOciErrorCode(error.code), error.message, { retryAfterMs }) }
    }
    case 'queued':
      return { kind: 'follow', source: answer.source }
    case 'busy':
      return { kind: 'follow', source: undefined }
  }
}

class LeasedLead implements Lead {
  readonly #lease: Lease
  readonly #options: LockClaimOptions
  readonly #onEnd: () => void

  constructor(lease: Lease, options: LockClaimOptions, onEnd: () => void) {
    this.#lease = lease
    this.#options = options
    this.#onEnd = onEnd
  }

  async completed(): Promise<void> {
    this.#onEnd()
    try {
      await this.#lease.complete({ copy: true })
    } catch (error) {
      // The lease was lost on the way, but the blob is here all the same, and others may have it.
      this.#options.logger.debug({ err: error, key: this.#lease.key }, 'completed without a lease')
      const signal = AbortSignal.timeout(this.#options.lockTimeoutMs)
      await this.#quietly(this.#options.locks.updateCopies({ add: [this.#lease.key] }, { signal }))
    }
  }

  async failed({ code, message, permanent, retryAfterMs }: OciError): Promise<void> {
    this.#onEnd()
    await this.#quietly(this.#lease.fail({ code, message }, { permanent, retryAfterMs }))
  }

  async released(): Promise<void> {
    this.#onEnd()
    await this.#lease[Symbol.asyncDispose]()
  }

  async #quietly(call: Promise<unknown>): Promise<void> {
    await call.catch((error: unknown) => {
      this.#options.logger.debug({ err: error, key: this.#lease.key }, 'the lock server was not told')
    })
  }
}
