import { randomUUID } from 'node:crypto'
import { type Lease, type LockClient, LockError, type Ticket, type TicketAnswer } from '@layerlock/client'
import type { FastifyBaseLogger } from 'fastify'
import { MAX_SILENT_PAUSE_MS, type Pause, type Place } from '../upstream/request-gate.ts'
import type { Degradation } from './degradation.ts'

/** For nodes that have nobody to share the places with. */
export const NO_PLACE: Place = { limited: () => Promise.resolve(), leave: () => Promise.resolve() }

interface PlaceParts {
  readonly locks: LockClient
  readonly degradation: Degradation
  /** How long the lock server may take to answer before the node goes on without a place, in milliseconds. */
  readonly lockTimeoutMs: number
  readonly logger: FastifyBaseLogger
}

interface WantedPlace {
  readonly key: string
  readonly limit: number
  readonly signal: AbortSignal
}

/**
 * Takes a place at a semaphore key. What upstream's limits mean for the cluster lies in that key too: a short pause is a
 * failure of its holder with `retryAfterMs`, which nobody is granted the key before; a long one is an outcome, which all
 * who wait and all who come are told at once, so that they can tell their clients.
 */
export async function takeLockPlace(parts: PlaceParts, { key, limit, signal }: WantedPlace): Promise<Place | Pause> {
  const { locks, degradation, lockTimeoutMs, logger } = parts
  // A group of its own: pauses are no reason to refuse the key, however many nodes were told of the same one.
  const ticket = locks.ticket(key, { limit, group: randomUUID() })
  const timeout = AbortSignal.timeout(lockTimeoutMs)
  let answer: TicketAnswer
  try {
    answer = await ticket.ask({ signal: AbortSignal.any([signal, timeout]) })
    degradation.recovered()
    while (answer.status === 'queued') answer = await ticket.next({ signal })
  } catch (error) {
    leave(ticket)
    signal.throwIfAborted()
    if (!timeout.aborted && !(error instanceof LockError)) throw error
    logger.warn({ err: error, key }, 'the lock server gives no place; going on without it')
    if (!(error instanceof LockError) || error.retryable) degradation.failed()
    return NO_PLACE
  }
  if (answer.status === 'granted') return new LockPlace(answer.lease, logger)
  return (answer.status === 'done' ? readPause(answer.value, answer.ageMs) : undefined) ?? NO_PLACE
}

/** It may be in the queue, or hold a place that it was not told of. */
function leave(ticket: Ticket): void {
  void ticket.cancel()
}

/** What is left of a pause; undefined when it is none, or over. It came over the wire. */
function readPause(value: unknown, ageMs: number): Pause | undefined {
  const { retryAfterMs, message } = (value ?? {}) as Partial<Record<keyof Pause, unknown>>
  if (typeof retryAfterMs !== 'number' || typeof message !== 'string') return undefined
  const leftMs = retryAfterMs - ageMs
  return leftMs > 0 ? { retryAfterMs: leftMs, message } : undefined
}

class LockPlace implements Place {
  readonly #lease: Lease
  readonly #logger: FastifyBaseLogger

  constructor(lease: Lease, logger: FastifyBaseLogger) {
    this.#lease = lease
    this.#logger = logger
  }

  async limited({ retryAfterMs, message }: Pause): Promise<void> {
    try {
      if (retryAfterMs > MAX_SILENT_PAUSE_MS) {
        await this.#lease.complete({ value: { retryAfterMs, message }, retainMs: retryAfterMs })
      } else {
        await this.#lease.fail({ code: 'TOOMANYREQUESTS', message }, { retryAfterMs })
      }
    } catch (error) {
      this.#logger.debug({ err: error, key: this.#lease.key }, 'the others were not told of a pause')
    } finally {
      await this.leave()
    }
  }

  async leave(): Promise<void> {
    await this.#lease[Symbol.asyncDispose]()
  }
}
