import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

import { type Answer, errorAnswer, textAnswer } from './answer.ts'
import type { Fault, FaultHook } from './fault.ts'
import { RateLimit } from './rate-limit.ts'
import { RequestLog, type RequestRecord } from './request-log.ts'
import { isDigest, parseTarget } from './request-target.ts'
import { breakOff, sendAnswer } from './send-answer.ts'

/** Key and certificate, PEM. */
export interface TlsOptions {
  readonly key: string
  readonly cert: string
}

/** What a server does to every answer, whatever it serves. */
export interface TrafficOptions {
  /** Of all answers together. Default: no limit. */
  readonly rateBytesPerSecond?: number | undefined
  /** Before each answer. Default 0. */
  readonly latencyMs?: number | undefined
  readonly fault?: FaultHook | undefined
  readonly tls?: TlsOptions | undefined
  /** Address to listen on. Default 127.0.0.1. */
  readonly host?: string | undefined
  /** Default 0: any free one. */
  readonly port?: number | undefined
}

/** A request as a handler sees it. */
export interface Exchange {
  readonly request: IncomingMessage
  readonly record: RequestRecord
  /** The `Range` header, unless a fault wants it ignored. */
  readonly range: string | undefined
  /** Aborted when the client is gone. */
  readonly signal: AbortSignal
}

/** What servers that record, limit and break their answers have in common. */
export interface RecordedServer extends AsyncDisposable {
  /** Without a slash at the end. */
  readonly url: string
  /** `host:port`, as it stands in references and in `?ns=`. */
  readonly host: string
  readonly requests: RequestLog
  /** May be changed while it runs. */
  readonly rate: RateLimit
  /** May be changed while it runs; requests that have begun keep the fault they have. */
  fault: FaultHook | undefined
  latencyMs: number
}

/** What several listeners of one registry share. */
export interface Shared {
  readonly requests: RequestLog
  readonly rate: RateLimit
}

/** Longer than the 30 s for which containerd keeps an idle connection: the server must not close first. */
const keepAliveTimeoutMs = 65_000

/** Starts a server that records every request, and sends what `handle` answers as slowly and wrongly as it is told. */
export async function startRecordedServer(
  options: TrafficOptions,
  handle: (exchange: Exchange) => Promise<Answer>,
  shared?: Shared,
): Promise<RecordedServer> {
  const { tls, host = '127.0.0.1', port = 0 } = options
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    void answerRequest(recorded, handle, request, response)
  }
  const server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener)
  server.keepAliveTimeout = keepAliveTimeoutMs
  server.listen(port, host)
  await once(server, 'listening')
  const authority = `${host}:${(server.address() as AddressInfo).port}`
  const recorded: RecordedServer = {
    url: `${tls === undefined ? 'http' : 'https'}://${authority}`,
    host: authority,
    requests: shared?.requests ?? new RequestLog(),
    rate: shared?.rate ?? new RateLimit(options.rateBytesPerSecond),
    fault: options.fault,
    latencyMs: options.latencyMs ?? 0,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
  return recorded
}

async function answerRequest(
  server: RecordedServer,
  handle: (exchange: Exchange) => Promise<Answer>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const gone = new AbortController()
  response.once('close', () => gone.abort(new Error('the client is gone')))
  response.on('error', () => gone.abort(new Error('the connection failed')))
  const { signal } = gone
  const record = begin(server, request)
  const { fault } = record
  const range = fault?.kind === 'ignoreRange' ? undefined : record.range
  try {
    await pause(server.latencyMs + (fault?.kind === 'delay' ? fault.ms : 0), signal)
    if (fault !== undefined && isBeforeHeaders(fault)) return await breakOff(response, fault)
    const answer = faultyAnswer(fault) ?? (await handle({ request, record, range, signal }))
    await sendAnswer(response, answer, { rate: server.rate, fault, record, signal })
  } catch (error) {
    if (signal.aborted) return
    if (response.headersSent) response.destroy()
    else await sendFailure(server, response, record, signal, error)
  } finally {
    record.endedMs = performance.now()
    // A body that is still on its way would turn the next close into a RST.
    request.resume()
  }
}

function begin(server: RecordedServer, request: IncomingMessage): RequestRecord {
  const { method = 'GET', url = '/', headers } = request
  const target = parseTarget(method, url)
  const asked = {
    method,
    url,
    kind: target.kind,
    repository: target.repository,
    reference: target.reference,
    digest: isDigest(target.reference) ? target.reference : undefined,
    range: headers.range,
    nth: server.requests.nth({ method, kind: target.kind, reference: target.reference }),
  }
  const record: RequestRecord = {
    ...asked,
    userAgent: headers['user-agent'],
    authorization: headers.authorization !== undefined,
    startedMs: performance.now(),
    fault: server.fault?.({ ...asked, authorization: headers.authorization }),
    status: undefined,
    bytesSent: 0,
    endedMs: undefined,
    completed: false,
  }
  server.requests.add(record)
  return record
}

async function sendFailure(
  { rate }: RecordedServer,
  response: ServerResponse,
  record: RequestRecord,
  signal: AbortSignal,
  error: unknown,
): Promise<void> {
  const answer = errorAnswer(500, 'UNKNOWN', { 'X-Error': String(error).replaceAll(/[^\x20-\x7e]/g, ' ') })
  await sendAnswer(response, answer, { rate, fault: undefined, record, signal }).catch(() => response.destroy())
}

function faultyAnswer(fault: Fault | undefined): Answer | undefined {
  if (fault?.kind !== 'status') return undefined
  return fault.body === undefined
    ? errorAnswer(fault.status, 'UNKNOWN', fault.headers)
    : textAnswer(fault.status, fault.body, fault.headers)
}

function isBeforeHeaders(fault: Fault): boolean {
  return (fault.kind === 'cut' || fault.kind === 'reset' || fault.kind === 'hang') && fault.afterBytes === undefined
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (ms > 0) await sleep(ms, undefined, { signal })
}
