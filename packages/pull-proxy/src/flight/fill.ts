import type { Readable } from 'node:stream'
import type { FastifyBaseLogger } from 'fastify'
import { OciError } from '../oci/oci-error.ts'
import type { ProxyStats, ReceivedFrom } from '../status/proxy-stats.ts'
import { describe } from '../upstream/http-exchange.ts'
import { StoreWriteError } from '../content/store-write-error.ts'
import { batches } from './batches.ts'
import { Patience } from '../upstream/pauses.ts'
import type { FetchRequest } from './fetch-request.ts'
import type { Flight } from './flight.ts'
import { backOff } from '../pause.ts'

export interface FillContext {
  readonly stats: ProxyStats
  readonly logger: FastifyBaseLogger
  readonly signal: AbortSignal
}

/** What counts as getting further, in bytes: one byte a connection would take for ever, and upstream a connection each. */
const MIN_PROGRESS_BYTES = 16 * 1024
/** After so many bytes a connection is taken up again at once. */
const MUCH_BYTES = 1024 * 1024

/**
 * Fills a flight from upstream, from where it is to its end. A connection that breaks off is taken up again with
 * `Range`, as often as it gets any further.
 *
 * @throws {OciError} when upstream refuses, or fails too often
 */
export async function fillFromUpstream(flight: Flight, request: FetchRequest, context: FillContext): Promise<void> {
  const { signal, logger } = context
  const patience = new Patience()
  let before = flight.written
  for (let fruitless = 0; ;) {
    try {
      await fillOnce(flight, request, { ...context, patience })
      return
    } catch (error) {
      signal.throwIfAborted()
      if (isRefusal(error) && request.refused?.() === true) continue
      if (!isWorthAnotherTry(error, patience)) throw error
      const gainedBytes = flight.written - before
      const hasProgressed = gainedBytes >= MIN_PROGRESS_BYTES
      fruitless = hasProgressed ? 0 : fruitless + 1
      if (hasProgressed || flight.written < before) before = flight.written
      if (fruitless >= request.upstream.retries) throw error
      logger.warn({ digest: flight.digest, at: flight.written, err: error }, 'upstream failed; trying again')
      // Where much has come, clients wait for the rest, and upstream is well enough.
      if (gainedBytes < MUCH_BYTES) await backOff(fruitless, signal)
    }
  }
}

/** Whether upstream does not take the credentials, or no longer. */
function isRefusal(error: unknown): boolean {
  return error instanceof OciError && (error.code === 'UNAUTHORIZED' || error.code === 'DENIED')
}

/** A short pause that upstream wants is sat out before the next request, by all of them. */
function isWorthAnotherTry(error: unknown, patience: Patience): boolean {
  if (!(error instanceof OciError) || error.permanent) return false
  return error.code !== 'TOOMANYREQUESTS' || (error.retryAfterMs ?? 0) <= patience.leftMs
}

interface FillOnceContext extends FillContext {
  readonly patience: Patience
}

async function fillOnce(flight: Flight, request: FetchRequest, context: FillOnceContext): Promise<void> {
  const { stats, signal, patience } = context
  if (flight.total !== undefined && flight.written === flight.total) return
  const { upstream, kind, knownSize = flight.total } = request
  const content = { kind, digest: flight.digest }
  const open = () => upstream.open(request, content, { offset: flight.written, knownSize, patience, signal })
  let opened = await open()
  // Readers are told the size at once, so upstream must say twice what the manifest does not; that may be the wrong one.
  if (knownSize !== undefined && opened.size !== knownSize && flight.total === undefined) {
    opened.body.on('error', () => undefined).destroy()
    opened = await open()
  }
  try {
    const { size } = opened
    if (flight.total !== undefined && flight.total !== size) {
      // Upstream is the one to believe: a peer that named another size sent bytes of something else.
      await flight.restart()
      throw new OciError('UNKNOWN', `${upstream.name} has another size of ${flight.digest} than an earlier source`)
    }
    flight.announce({ size, source: 'upstream' })
  } catch (error) {
    opened.body.on('error', () => undefined).destroy()
    throw error
  }
  await pour(flight, opened.body, { surplus: opened.surplus, from: 'upstream', name: upstream.name, stats })
}

export interface PourOptions {
  /** Bytes at the start of the body that the flight has already. */
  readonly surplus?: number
  readonly from: ReceivedFrom
  /** What the source is called in errors. */
  readonly name: string
  readonly stats: ProxyStats
}

/**
 * Pours a body into a flight to its very end. What comes after the last byte is left out: the digest says whether the
 * bytes are right without it.
 *
 * @throws {OciError} when it breaks off
 */
export async function pour(flight: Flight, body: Readable, options: PourOptions): Promise<void> {
  const { from, name, stats } = options
  const total = flight.total!
  let surplus = options.surplus ?? 0
  try {
    for await (const batch of batches(body)) {
      const fresh: Buffer[] = []
      let roomBytes = total - flight.written
      let isOver = false
      for (const chunk of batch) {
        stats.received(from, chunk.length)
        const rest = chunk.subarray(Math.min(surplus, chunk.length))
        surplus -= chunk.length - rest.length
        const wanted = rest.subarray(0, roomBytes)
        roomBytes -= wanted.length
        isOver ||= rest.length > wanted.length
        if (wanted.length > 0) fresh.push(wanted)
      }
      if (fresh.length > 0) await flight.append(...fresh)
      if (isOver) break
    }
  } catch (cause) {
    if (cause instanceof OciError || cause instanceof StoreWriteError) throw cause
    throw new OciError('UNKNOWN', `${name} broke off at ${flight.written} of ${total} bytes: ${describe(cause)}`, {
      cause,
    })
  } finally {
    body.on('error', () => undefined).destroy()
  }
  if (flight.written < total) {
    throw new OciError('UNKNOWN', `${name} ended at ${flight.written} of ${total} bytes of ${flight.digest}`)
  }
}
