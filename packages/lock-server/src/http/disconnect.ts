import type { FastifyReply } from 'fastify'

/** A signal that aborts when the client closes its connection before the answer has gone out. */
export function disconnectSignal(reply: FastifyReply): AbortSignal {
  const controller = new AbortController()
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) controller.abort()
  })
  return controller.signal
}
