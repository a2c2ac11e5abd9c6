import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

import type { Answer } from './answer.ts'
import type { Fault } from './fault.ts'
import type { RateLimit } from './rate-limit.ts'
import type { RequestRecord } from './request-log.ts'

/** With what an answer is sent. */
export interface SendContext {
  readonly rate: RateLimit
  readonly fault: Fault | undefined
  /** Told what was sent. */
  readonly record: RequestRecord
  /** Aborted when the client is gone. */
  readonly signal: AbortSignal
}

/** How long what was sent may take to be read before a RST drops the rest. */
const resetDelayMs = 50

/**
 * Sends an answer slice by slice, each after the rate limit has let it through and the one before is written: so memory
 * is bounded, and `bytesSent` counts what the socket took.
 */
export async function sendAnswer(response: ServerResponse, answer: Answer, context: SendContext): Promise<void> {
  const { fault, record } = context
  const headers = { ...answer.headers }
  const announced = Number(headers['Content-Length'])
  if (fault?.kind === 'longer' && fault.announced !== false) headers['Content-Length'] = announced + fault.bytes
  if (fault?.kind === 'longer' && fault.announced === 'chunked') delete headers['Content-Length']
  if (fault?.kind === 'shorter') headers['Content-Length'] = Math.max(0, announced - fault.bytes)
  if (fault?.kind === 'noContentLength') delete headers['Content-Length']

  record.status = answer.status
  response.writeHead(answer.status, headers)
  if (record.method !== 'HEAD' && answer.body !== undefined) {
    response.flushHeaders()
    const stopAtBytes = fault !== undefined && 'afterBytes' in fault ? fault.afterBytes : undefined
    const body = withWrongBytes(answer.body, fault, announced)
    const stopped = await sendBody(response, body, stopAtBytes, context)
    if (stopped) return breakOff(response, fault)
  }
  // Before the end is awaited: a client that has everything may hang up at once.
  record.completed = true
  response.end()
  await once(response, 'finish', { signal: context.signal })
}

/** Ends an exchange as a fault wants it. */
export async function breakOff(response: ServerResponse, fault: Fault | undefined): Promise<void> {
  if (response.destroyed) return
  if (fault?.kind === 'hang') {
    await once(response, 'close')
    return
  }
  if (fault?.kind === 'reset') {
    if (response.headersSent) await sleep(resetDelayMs)
    response.socket?.resetAndDestroy()
  } else {
    response.destroy()
  }
}

/** Sends until the body is over or, then returning true, until so many bytes are sent. */
async function sendBody(
  response: ServerResponse,
  body: AsyncIterable<Uint8Array>,
  stopAtBytes: number | undefined,
  { rate, fault, record, signal }: SendContext,
): Promise<boolean> {
  if (stopAtBytes === 0) return true
  const drip = fault?.kind === 'drip' ? fault : undefined
  for await (const chunk of body) {
    for (let from = 0; from < chunk.length;) {
      const leftBytes = (stopAtBytes ?? Infinity) - record.bytesSent
      const slice = chunk.subarray(from, from + Math.min(drip?.bytes ?? rate.sliceBytes, leftBytes))
      await rate.take(slice.length, signal)
      await write(response, slice, signal)
      record.bytesSent += slice.length
      from += slice.length
      if (record.bytesSent === stopAtBytes) return true
      if (drip !== undefined) await sleep(drip.everyMs, undefined, { signal })
    }
  }
  return false
}

async function write(response: ServerResponse, slice: Uint8Array, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const abort = (): void => reject(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  response.write(slice, (error) => (error ? reject(error) : resolve()))
  try {
    await promise
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

async function* withWrongBytes(
  body: AsyncIterable<Uint8Array>,
  fault: Fault | undefined,
  announcedBytes: number,
): AsyncGenerator<Uint8Array> {
  const keepBytes = fault?.kind === 'shorter' ? Math.max(0, announcedBytes - fault.bytes) : Infinity
  let position = 0
  for await (const chunk of body) {
    const kept = chunk.subarray(0, Math.max(0, keepBytes - position))
    const wrongAt = fault?.kind === 'corrupt' ? fault.offset - position : -1
    position += chunk.length
    yield wrongAt >= 0 && wrongAt < kept.length ? withFlippedByte(kept, wrongAt) : kept
    if (position >= keepBytes) return
  }
  if (fault?.kind === 'longer') yield new Uint8Array(fault.bytes).fill(0x78)
}

function withFlippedByte(bytes: Uint8Array, at: number): Uint8Array {
  const copy = Uint8Array.from(bytes)
  copy[at] = copy[at]! ^ 0xff
  return copy
}
