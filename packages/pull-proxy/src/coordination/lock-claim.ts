import {
  type FailOptions,
  type Lease,
  type LockClient,
  LockError,
  type Ticket,
  type TicketAnswer,
} from '@layerlock/client'
import type { FastifyBaseLogger } from 'fastify'
import type { ContentId } from '../oci/content-id.ts'
import { OciError, parseOciErrorCode } from '../oci/oci-error.ts'
import type { Claim, ClaimAnswer, Lead } from './coordinator.ts'
import { blobKey, type CopyAnnouncer } from './copy-announcer.ts'
import type { Degradation } from './degradation.ts'

export interface LockClaimOptions {
  readonly locks: LockClient
  readonly announcer: CopyAnnouncer
  readonly degradation: Degradation
  readonly logger: FastifyBaseLogger
  readonly id: ContentId
  readonly group: string
  /** How long the lock server may take to answer before the node goes on alone, in milliseconds. */
  readonly lockTimeoutMs: number
}

/**
 * How a failure is told to the others. Who fails because upstream wants no requests for a while has waited in silence
 * for as long as clients can; for those who wait with them it is a refusal too.
 */
export function failOptions({ permanent, retryAfterMs }: OciError): FailOptions {
  return { permanent: permanent || retryAfterMs !== undefined, retryAfterMs }
}

/** The other way round: a failure that another node has told. */
export function toldError({ code, message }: WorkFailure, retryAfterMs: number | undefined): OciError {
  return new OciError(parseOciErrorCode(code), message, { retryAfterMs })
}

interface WorkFailure {
  readonly code: string
  readonly message: string
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
    this.#key = blobKey(options.id)
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
    const { announcer, id } = this.#options
    // In this order: a wish that is asked again after the copy was announced would withdraw it.
    await this.#cancel()
    if (this.#degraded) announcer.owe(id)
    else await announcer.announce([id])
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
    const { announcer, id } = this.#options
    // A lead without a lease (fail open, rule 10): the others learn of the copy when the lock server is there again.
    const lead: Lead = {
      completed: () => Promise.resolve(announcer.owe(id)),
      failed: () => Promise.resolve(),
      released: () => Promise.resolve(),
    }
    return { kind: 'lead', lead }
  }
}

function claimAnswer(answer: Exclude<TicketAnswer, { status: 'granted' }>): ClaimAnswer {
  switch (answer.status) {
    case 'done':
      return { kind: 'copies', copies: answer.copies, outcome: answer.fencingToken }
    case 'failed':
      return { kind: 'refused', error: toldError(answer.error, answer.retryAfterMs) }
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
      await this.#lease[Symbol.asyncDispose]()
      await this.#options.announcer.announce([this.#options.id])
    }
  }

  async failed(error: OciError): Promise<void> {
    this.#onEnd()
    try {
      await this.#lease.fail({ code: error.code, message: error.message }, failOptions(error))
    } catch (untold) {
      this.#options.logger.debug({ err: untold, key: this.#lease.key }, 'the lock server was not told')
    } finally {
      // Whatever became of the failure, the key must not stay held: this goes on until the server has it.
      await this.#lease[Symbol.asyncDispose]()
    }
  }

  async released(): Promise<void> {
    this.#onEnd()
    await this.#lease[Symbol.asyncDispose]()
  }
}
