import { ROUTES } from '@layerlock/protocol'
import type { EventLog } from '../service/event-log.ts'
import type { ApiApp } from './api-app.ts'
import type { Drain } from './drain.ts'
import { EventStream } from './event-stream.ts'

/** Who reads events now. */
export interface EventReaders {
  readonly count: number
}

/** `GET /v1/events`: Server-Sent Events (WHATWG HTML, "Server-sent events"). */
export function registerEventRoutes(app: ApiApp, events: EventLog, drain: Drain): EventReaders {
  const readers = { count: 0 }
  const options = {
    schema: { querystring: ROUTES.events.query },
    exposeHeadRoute: false,
    config: { stream: true },
  } as const
  app.get(ROUTES.events.path, options, (request, reply) => {
    const { prefix = '' } = request.query
    const lastId = request.headers['last-event-id']
    reply.hijack()
    const response = reply.raw
    response.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    })
    const stream = new EventStream(response, events, prefix, typeof lastId === 'string' ? lastId : undefined)
    readers.count++
    const draining = drain.onBegin(() => response.end())
    response.once('close', () => {
      readers.count--
      stream[Symbol.dispose]()
      draining[Symbol.dispose]()
    })
  })
  return readers
}
