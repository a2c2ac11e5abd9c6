import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http'

import { Agent, request as send } from 'undici'

import type { Answer } from './answer.ts'
import { isDigest } from './request-target.ts'
import { type Exchange, type RecordedServer, startRecordedServer, type TrafficOptions } from './recorded-server.ts'

/** In front of what to stand, and how to behave. */
export interface CountingProxyOptions extends TrafficOptions {
  /** URL of a registry. */
  readonly target: string
}

/** Headers that belong to one connection (RFC 9110, 7.6.1), and what the two servers set for themselves. */
const ownHeaders = new Set(['connection', 'keep-alive', 'transfer-encoding', 'upgrade', 'te', 'trailer', 'expect'])

/** Starts a reverse proxy that records, limits and breaks what goes between a client and a real registry. */
export async function startCountingProxy(options: CountingProxyOptions): Promise<RecordedServer> {
  const target = new URL(options.target).origin
  const agent = new Agent({ headersTimeout: 0, bodyTimeout: 0 })
  const server = await startRecordedServer(options, (exchange) => forward(agent, target, exchange))
  const disposeServer = server[Symbol.asyncDispose].bind(server)
  server[Symbol.asyncDispose] = async () => {
    await disposeServer()
    await agent.destroy()
  }
  return server
}

async function forward(agent: Agent, target: string, { request, record, range, signal }: Exchange): Promise<Answer> {
  const headers = forwardedHeaders(request.headers)
  if (range === undefined) delete headers['range']
  const answer = await send(target + (request.url ?? '/'), {
    dispatcher: agent,
    method: (request.method ?? 'GET') as 'GET',
    // With the `Host` of the client, so that a registry's absolute URLs lead through here again.
    headers: headers as Record<string, string | string[]>,
    body: hasBody(request) ? request : null,
    signal,
  })
  const digest = answer.headers['docker-content-digest']
  if (typeof digest === 'string' && isDigest(digest)) record.digest ??= digest
  return { status: answer.statusCode, headers: capitalised(forwardedHeaders(answer.headers)), body: answer.body }
}

function forwardedHeaders(headers: NodeJS.Dict<string | string[]>): OutgoingHttpHeaders {
  return Object.fromEntries(
    Object.entries(headers).filter(([name, value]) => value !== undefined && !ownHeaders.has(name)),
  )
}

/** The sender knows the length of a body by the usual spelling of its header. */
function capitalised({ 'content-length': length, ...others }: OutgoingHttpHeaders): OutgoingHttpHeaders {
  return length === undefined ? others : { ...others, 'Content-Length': length }
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}
