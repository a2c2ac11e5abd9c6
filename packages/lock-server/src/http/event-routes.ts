import type { ServerResponse } from 'node:http'
import { ROUTES } from '@layerlock/protocol'
import type { EventLog, LoggedEvent } from '../service/event-log.ts'
import type { ApiApp } from './api-app.ts'
import type { Drain } from './drain.ts'

/** How often a line goes out that says nothing, so that nobody in between takes the stream for dead, in milliseconds. */
const HEARTBEAT_MS = 15_000
/** What a reader may be behind before it is cut off; it then comes back with its `Last-Event-ID`. */
const MAX_BEHIND_BYTES = 1024 * 1024

/** Who reads events now. */
export interface EventReaders {
  readonly count: number
}

/** `GET /v1/events`: Server-Sent Events (WHATWG HTML, "Server-sent events"). */
export function registerEventRoutes(app: ApiApp, events: EventLog, drain: Drain): EventReaders {
  const readers = { count: 0 }
  app.get(ROUTES.events.path, { schema: { querystring: ROUTES.events.query } }, (request, reply) => {
    const { prefix = '' } = request.query
    const lastId = request.headers['last-event-id']
    reply.hijack()
    const response = reply.raw
    response.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    })
    response.write(': hello\n\n')
    const send = ({ id, event }: LoggedEvent) => {
      if (event.key.startsWith(prefix))
        write(response, `id: ${id}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
    }
    if (typeof lastId === 'string') {
      const missed = events.after(lastId)
      // Level-triggered all the same: who is told that it missed something looks at the keys themselves.
      if (missed === undefined) write(response, 'event: missed\ndata: {}\n\n')
      else missed.forEach(send)
    }
    const listening = events.listen(send)
    readers.count++
    const heartbeat = setInterval(() => write(response, ':\n\n'), HEARTBEAT_MS)
    heartbeat.unref()
    const draining = drain.onBegin(() => response.end())
    response.once('close', () => {
      readers.count--
      clearInterval(heartbeat)
      listening[Symbol.dispose]()
      draining[Symbol.dispose]()
    })
  })
  return readers
}

function write(response: ServerResponse, text: string): void {
  if (response.writableEnded) return
  if (response.writableLength > MAX_BEHIND_BYTES) response.destroy()
  else response.write(text)
}
