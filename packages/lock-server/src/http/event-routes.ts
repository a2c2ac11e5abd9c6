import type { ServerResponse } from 'node:http'
import { ROUTES } from '@layerlock/protocol'
import { Type } from 'typebox'
import type { EventLog, LoggedEvent } from '../service/event-log.ts'
import type { ApiApp } from './api-app.ts'

const EventsQuery = Type.Object(
  { prefix: Type.Optional(Type.String({ maxLength: 512 })) },
  { additionalProperties: false },
)

/** How often a line goes out that says nothing, so that nobody in between takes the stream for dead, in milliseconds. */
const HEARTBEAT_MS = 15_000
/** What a reader may be behind before it is cut off; it then comes back with its `Last-Event-ID`. */
const MAX_BEHIND_BYTES = 1024 * 1024

/** `GET /v1/events`: Server-Sent Events (WHATWG HTML, "Server-sent events"). */
export function registerEventRoutes(app: ApiApp, events: EventLog): void {
  app.get(ROUTES.events.path, { schema: { querystring: EventsQuery } }, (request, reply) => {
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
    const heartbeat = setInterval(() => write(response, ':\n\n'), HEARTBEAT_MS)
    heartbeat.unref()
    response.once('close', () => {
      clearInterval(heartbeat)
      listening[Symbol.dispose]()
    })
  })
}

function write(response: ServerResponse, text: string): void {
  if (response.writableLength > MAX_BEHIND_BYTES) response.destroy()
  else response.write(text)
}
