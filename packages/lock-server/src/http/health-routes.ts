import type { ApiApp } from './api-app.ts'

/** Whether the process lives, and whether it takes work. */
export function registerHealthRoutes(app: ApiApp, isReady: () => boolean): void {
  app.get('/healthz', () => ({ status: 'ok' }))
  app.get('/readyz', (_request, reply) =>
    isReady() ? reply.send({ status: 'ready' }) : reply.code(503).send({ status: 'draining' }),
  )
}
