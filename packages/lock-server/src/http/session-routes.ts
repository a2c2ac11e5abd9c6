import { ROUTES } from '@layerlock/protocol'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { LockService } from '../service/lock-service.ts'
import { type ApiApp, sessionIdOf } from './api-app.ts'
import { disconnectSignal } from './disconnect.ts'
import type { Drain } from './drain.ts'

/** For which part of its session's time a renewal is held back at most, so that the next one comes in good time. */
const PARKED_SHARE = 1 / 3

/** Sessions: open, renew, close, list. */
export function registerSessionRoutes(app: ApiApp, service: LockService, drain: Drain): void {
  app.post(ROUTES.openSession.path, { schema: { body: ROUTES.openSession.body } }, async (request, reply) => {
    const { session, resumed } = await service.openSession(request.body)
    return reply.code(201).send({ id: session.id, ttlMs: session.ttlMs, resumed })
  })

  const options = {
    schema: { body: ROUTES.renewSession.body },
    // Most renewals have nothing to say.
    preValidation: (request: FastifyRequest, _reply: FastifyReply, done: () => void) => {
      if (request.body === undefined) request.body = {}
      done()
    },
  }
  app.post(ROUTES.renewSession.path, options, async (request, reply) => {
    const id = sessionIdOf(request)
    const { ttlMs, renewal } = service.sessions.renew(id)
    const waitMs = request.body.waitMs ?? 0
    if (waitMs > 0) {
      const gone = disconnectSignal(reply)
      const { promise: ended, resolve } = Promise.withResolvers<void>()
      using _ending = service.sessions.onEnd(id, resolve)
      await sleep(Math.min(waitMs, ttlMs * PARKED_SHARE), gone, drain, ended)
      if (gone.aborted) service.sessions.disconnected(id, renewal)
    }
    // It may have ended meanwhile.
    return { ttlMs: service.sessions.get(id).ttlMs }
  })

  app.delete(ROUTES.closeSession.path, async (request, reply) => {
    await service.closeSession(sessionIdOf(request))
    return reply.code(204).send()
  })

  app.get(ROUTES.nodes.path, () => ({ nodes: service.sessions.nodes() }))
}

/** Resolves when the time is over, the caller has gone, the session has ended, or the server stops. */
async function sleep(ms: number, gone: AbortSignal, drain: Drain, ended: Promise<void>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, ms)
  gone.addEventListener('abort', () => resolve(), { once: true })
  using _draining = drain.onBegin(resolve)
  await Promise.race([promise, ended])
  clearTimeout(timer)
}
