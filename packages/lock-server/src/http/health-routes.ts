import type { ApiApp } from './api-app.ts'
import type { Drain } from './drain.ts'

/** Whether the process lives, and whether it takes work. */
export function registerHealthRoutes(app: ApiApp, drain: Drain): void {
  app.get('/healthz', () => ({ status: 'ok' }))
  app.get('/readyz', (_request, reply) =>
    drain.hasBegun ? reply.code(503).send({ status: 'draining' }) : reply.send({ status: 'ready' }),
  )
}
