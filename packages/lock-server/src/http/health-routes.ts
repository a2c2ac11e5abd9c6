import type { LockStore } from '../store/lock-store.ts'
import type { ApiApp } from './api-app.ts'
import type { Drain } from './drain.ts'

/** Whether the process lives, and whether it takes work: not while it stops, nor with a store that has failed for good. */
export function registerHealthRoutes(app: ApiApp, drain: Drain, store: Pick<LockStore, 'failure'> = {}): void {
  app.get('/healthz', () => ({ status: 'ok' }))
  app.get('/readyz', (_request, reply) => {
    if (drain.hasBegun) return reply.code(503).send({ status: 'draining' })
    if (store.failure !== undefined) return reply.code(503).send({ status: 'failing' })
    return reply.send({ status: 'ready' })
  })
}
