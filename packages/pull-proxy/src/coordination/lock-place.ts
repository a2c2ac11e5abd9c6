import { randomUUID } from 'node:crypto'
import { type Lease, type LockClient, LockError, type Ticket, type TicketAnswer } from '@layerlock/client'
import type { FastifyBaseLogger } from 'fastify'
import { pause } from '../pause.ts'
import { NO_PLACE, type Place } from '../upstream/request-gate.ts'
import { type Degradation, isAway } from './degradation.ts'

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
 * Takes a place at a semaphore key, however long the queue is, as long as the lock server answers. Rejects with the
 * signal's reason only.
 */
export async function takeLockPlace(parts: PlaceParts, { key, limit, signal }: WantedPlace): Promise<Place> {
  const { locks, degradation, lockTimeoutMs, logger } = parts
  // A group of its own: that holders have gone is no reason to refuse the key.
  const ticket = locks.ticket(key, { limit, group: randomUUID(), ignoreOutcome: true })
  const timeout = AbortSignal.timeout(lockTimeoutMs)
  try {
    const answer = await ticket.ask({ signal: AbortSignal.any([signal, timeout]) })
    degradation.recovered()
    const waited = answer.status === 'queued'
    const settled = waited ? await queue(ticket, parts, signal) : answer
    return settled.status === 'granted' ? createPlace(settled.lease, waited) : NO_PLACE
  } catch (error) {
    // It may be in the queue, or hold a place that it was not told of.
    void ticket.cancel()
    signal.throwIfAborted()
    const isLate = timeout.aborted && error === timeout.reason
    if (!isLate && !(error instanceof LockError)) throw error
    logger.warn({ err: error, key }, 'the lock server gives no place; going on without it')
    if (isLate || isAway(error)) degradation.failed()
    return NO_PLACE
  }
}

/** Waits in the queue. @throws {LockError} when the lock server is away meanwhile */
async function queue(ticket: Ticket, { locks, lockTimeoutMs }: PlaceParts, signal: AbortSignal): Promise<TicketAnswer> {
  const over = new AbortController()
  const whileWaiting = AbortSignal.any([signal, over.signal])
  const waiting = async () => {
    for (;;) {
      const answer = await ticket.next({ signal: whileWaiting })
      if (answer.status !== 'queued') return answer
    }
  }
  // A long poll takes long to find out that nobody is there any more.
  const watching = async () => {
    for (;;) {
      await pause(2 * lockTimeoutMs, whileWaiting)
      const timeout = AbortSignal.timeout(lockTimeoutMs)
      await locks.poll(ticket.key, { signal: AbortSignal.any([whileWaiting, timeout]) }).catch((error: unknown) => {
        throw timeout.aborted ? new LockError('unavailable', `no answer within ${lockTimeoutMs} ms`) : error
      })
    }
  }
  const both = [waiting(), watching()]
  for (const each of both) each.catch(() => undefined)
  try {
    return await Promise.race(both)
  } finally {
    over.abort()
  }
}

function createPlace(lease: Lease, waited: boolean): Place {
  return { waited, leave: () => lease[Symbol.asyncDispose]() }
}
