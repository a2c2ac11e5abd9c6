import { createRandom, type Random } from '@layerlock/test-support'
import { drawBroken } from './broken-request.ts'
import { type Ending, exchangeRaw, readStatuses } from './raw-connection.ts'
import type { Known } from './request-parts.ts'
import { type DrawPath, drawWellFramed } from './well-framed-request.ts'

/** What to send, and where. */
export interface VolleyOptions {
  readonly url: string
  /** How many requests, or more by what one connection takes. */
  readonly count: number
  readonly seed: number
  /** Tells volleys of one seed apart. */
  readonly name: string
  readonly known: Known
  readonly drawPath?: DrawPath | undefined
  /** How many connections at the same time. Default 24. */
  readonly connections?: number | undefined
}

/** What came back. */
export interface VolleyResult {
  readonly sent: number
  /** How often each status was answered, to whatever could be read. */
  readonly statuses: ReadonlyMap<number, number>
}

const CLOSING = Buffer.from('GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')

/**
 * Sends malformed requests over many connections: well-framed ones in rows, each of which has to be answered, and broken
 * ones, after which the connection has to end.
 *
 * @throws naming the connection when one is not answered as it must be; the same seed draws the same requests again
 */
export async function sendVolley({ connections = 24, ...options }: VolleyOptions): Promise<VolleyResult> {
  const statuses = new Map<number, number>()
  let sent = 0
  let next = 0
  const work = async () => {
    while (sent < options.count) {
      const index = next++
      const random = createRandom(options.seed, options.name, index)
      const isBroken = random.chance(0.85)
      const row = drawRow(random, options, isBroken)
      sent += row.requests
      const found = await deliver(options.url, row, random).catch((error: unknown) => {
        throw new Error(`connection ${index} of "${options.name}" with seed ${options.seed}`, { cause: error })
      })
      for (const status of found) statuses.set(status, (statuses.get(status) ?? 0) + 1)
    }
  }
  await Promise.all(Array.from({ length: connections }, work))
  return { sent, statuses }
}

/** What goes over one connection. */
interface Row {
  readonly bytes: Buffer
  readonly requests: number
  /** For each request that must be answered whether it is a `HEAD`; undefined when that cannot be told. */
  readonly heads: readonly boolean[] | undefined
}

function drawRow(random: Random, { known, drawPath }: VolleyOptions, isBroken: boolean): Row {
  const length = isBroken ? random.pick([0, 0, 0, 1, 2]) : random.between(1, 80)
  const requests = Array.from({ length }, () => drawWellFramed(random, known, drawPath))
  const last = isBroken ? drawBroken(random, known, drawPath) : CLOSING
  return {
    bytes: Buffer.concat([...requests.map(({ bytes }) => bytes), last]),
    requests: length + 1,
    heads: isBroken ? undefined : [...requests.map(({ isHead }) => isHead), false],
  }
}

async function deliver(url: string, { bytes, heads }: Row, random: Random): Promise<number[]> {
  const pieces = random.chance(0.3) ? split(random, bytes) : [bytes]
  const ending: Ending = heads === undefined ? random.pick(['halfClose', 'halfClose', 'destroy']) : 'server'
  const { received, error } = await exchangeRaw(url, pieces, ending)
  if (heads !== undefined) {
    if (error !== undefined) throw error
    return readStatuses(received, heads)
  }
  return [...received.toString('latin1').matchAll(/^HTTP\/1\.1 (\d{3}) /gm)].map(([, status]) => Number(status))
}

function split(random: Random, bytes: Buffer): Buffer[] {
  const cuts = Array.from({ length: random.between(1, 10) }, () => random.between(0, bytes.length)).toSorted(
    (a, b) => a - b,
  )
  return [0, ...cuts].map((from, index) => bytes.subarray(from, cuts[index] ?? bytes.length))
}
