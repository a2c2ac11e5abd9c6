import { ROUTES } from '@layerlock/protocol'
import type { LockService } from '../service/lock-service.ts'
import { type ApiApp, sessionIdOf } from './api-app.ts'
import { disconnectSignal } from './disconnect.ts'
import type { Drain } from './drain.ts'

/** Sessions: open, renew, close, list. */
export function registerSessionRoutes(app: ApiApp, service: LockService, drain: Drain): void {
  app.post(ROUTES.openSession.path, { schema: { body: ROUTES.openSession.body } }, async (request, reply) => {
    const { session, resumed } = await service.openSession(request.body)
    return reply.code(201).send({ id: session.id, ttlMs: session.ttlMs, resumed })
  })

  app.post(ROUTES.renewSession.path, { schema: { body: ROUTES.renewSession.body } }, async (request, reply) => {
    const id = sessionIdOf(request)
    const { ttlMs, renewal } = service.sessions.renew(id)
    const waitMs = request.body.waitMs ?? 0
    if (waitMs > 0) {
      const gone = disconnectSignal(reply)
      await sleep(Math.min(waitMs, ttlMs), gone, drain)
      if (gone.aborted) service.sessions.disconnected(id, renewal)
    }
    return { ttlMs }
  })

  app.delete(ROUTES.closeSession.path, async (request, reply) => {
    await service.closeSession(sessionIdOf(request))
    return reply.code(204).send()
  })

  app.get(ROUTES.nodes.path, () => ({ nodes: service.sessions.nodes() }))
}

/** Resolves when the time is over, the caller has gone, or the server stops. */
async function sleep(ms: number, gone: AbortSignal, drain: Drain): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, ms)
  gone.addEventListener('abort', () => resolve(), { once: true })
  using _draining = drain.onBegin(resolve)
  await promise
  clearTimeout(timer)
}
