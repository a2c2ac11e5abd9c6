import type { ServerResponse } from 'node:http'
import { ProtocolError } from '@layerlock/protocol'
import type { FastifyError, FastifyInstance, FastifyReply } from 'fastify'
import { UNEXPECTED } from '../http/error-answers.ts'
import { LegacyEvents } from './legacy-events.ts'
import { LegacyLocks, type LegacyOptions, type LockAnswer } from './legacy-locks.ts'
import { parseResult, parseTopic, parseWish } from './legacy-wish.ts'

/** How often a line goes out that says nothing, so that nobody in between takes the stream for dead, in milliseconds. */
const HEARTBEAT_MS = 15_000
/** What a subscriber may be behind before it is cut off; it then subscribes again and is told how things are. */
const MAX_BEHIND_BYTES = 1024 * 1024
/** The failures that have a status of their own; every other one is the server's. */
const STATUSES: Readonly<Record<string, number>> = {
  invalid_request: 400,
  unauthorized: 401,
  forbidden: 403,
  too_large: 413,
}

/** How long a node should stay away after a 503, in seconds. */
const RETRY_AFTER_S = 1
const MESSAGES = {
  acquired: 'the lock is yours',
  queued: 'another node holds the lock; this node is in the queue',
  skip: 'another node has completed this already',
}

/**
 * Serves the smaller protocol of the lock that layerlock replaces, over the same records: `POST /lock`, `/unlock`,
 * `/lock/status`, and `GET /lock/subscribe`. Takes up what an earlier life of the server has left in the store.
 */
export async function registerLegacyRoutes(app: FastifyInstance, options: LegacyOptions): Promise<void> {
  const locks = new LegacyLocks(options)
  const events = new LegacyEvents(options, locks)
  await locks.nodes.restore()
  await events.restore()
  // A scope of its own, for its errors have another form.
  app.register((scope, _options, done) => {
    acceptAnyJson(scope)
    scope.setErrorHandler<FastifyError>((error, request, reply) => {
      const status = statusOf(error)
      if (status === 503) {
        request.log.error({ err: error.cause ?? error }, error.message)
        reply.header('retry-after', RETRY_AFTER_S)
      }
      return reply.code(status).send({ error: isExpected(error) ? error.message : UNEXPECTED })
    })
    registerCalls(scope, locks)
    registerSubscriptions(scope, events)
    scope.addHook('onClose', (_scope, closed) => {
      events[Symbol.dispose]()
      locks[Symbol.dispose]()
      closed()
    })
    done()
  })
}

/** Old nodes need not say that they send JSON. */
function acceptAnyJson(scope: FastifyInstance): void {
  scope.removeAllContentTypeParsers()
  scope.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => {
    try {
      done(null, body === '' ? undefined : JSON.parse(String(body)))
    } catch (error) {
      done(new ProtocolError('invalid_request', `body: is not JSON (${(error as Error).message})`))
    }
  })
}

function registerCalls(scope: FastifyInstance, locks: LegacyLocks): void {
  scope.post('/lock', async (request, reply) => {
    const answer = await locks.lock(parseWish(request.body))
    return reply.code(answer.status === 'refused' ? 403 : 200).send(bodyOf(answer))
  })

  scope.post('/unlock', async (request, reply) => {
    const wish = parseWish(request.body)
    if (await locks.unlock(wish, parseResult(request.body))) return { released: true, message: 'the lock is released' }
    const message = `${wish.node} does not hold the lock for ${wish.type} of ${wish.resource}`
    return reply.code(403).send({ released: false, message })
  })

  scope.post('/lock/status', (request) => locks.status(parseWish(request.body)))
}

function bodyOf(answer: LockAnswer) {
  const known = { acquired: answer.status === 'acquired', skip: answer.status === 'skip' }
  if (!('error' in answer)) return { ...known, message: MESSAGES[answer.status] }
  const message = `${answer.status === 'refused' ? 'not allowed' : 'not in the queue, ask again later'}: ${answer.error}`
  return { ...known, message, error: answer.error }
}

/** Server-Sent Events (WHATWG HTML, "Server-sent events"). */
function registerSubscriptions(scope: FastifyInstance, events: LegacyEvents): void {
  const open = new Set<ServerResponse>()
  const options = { exposeHeadRoute: false, config: { stream: true } } as const
  scope.get('/lock/subscribe', options, async (request, reply) => {
    const topic = parseTopic(request.query)
    const response = openStream(reply)
    open.add(response)
    const closed = new Promise<void>((resolve) => response.once('close', resolve))
    const heartbeat = setInterval(() => write(response, ':\n\n'), HEARTBEAT_MS)
    heartbeat.unref()
    try {
      using _subscription = await events.subscribe(topic, (event) => {
        write(response, `data: ${JSON.stringify(event)}\n\n`)
      })
      await closed
    } catch (error) {
      // The answer has begun. Who is cut off subscribes again.
      request.log.error({ err: error }, 'a subscription failed')
      response.destroy()
    } finally {
      clearInterval(heartbeat)
      open.delete(response)
    }
  })
  // The streams have no end of their own, and a server that stops waits for its answers.
  scope.addHook('preClose', (done) => {
    for (const response of open) response.end()
    done()
  })
}

function openStream(reply: FastifyReply): ServerResponse {
  reply.hijack()
  const response = reply.raw
  response.writeHead(200, {
    'content-type': 'text/event-stream',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  })
  response.write(': hello\n\n')
  return response
}

function write(response: ServerResponse, text: string): void {
  if (response.writableEnded) return
  if (response.writableLength > MAX_BEHIND_BYTES) response.destroy()
  else response.write(text)
}

function statusOf(error: FastifyError): number {
  if (error instanceof ProtocolError) return STATUSES[error.code] ?? 503
  return isExpected(error) ? error.statusCode! : 503
}

/** Whether it is a refusal by the rules or by the framework, which say what the client has done. */
function isExpected(error: FastifyError): boolean {
  return error instanceof ProtocolError || (error.statusCode !== undefined && error.statusCode < 500)
}
