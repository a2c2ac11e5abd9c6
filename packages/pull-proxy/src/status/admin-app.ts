import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import { createApp } from '../http/create-app.ts'
import type { ContentStore } from '../content/content-store.ts'
import type { Coordinator } from '../coordination/coordinator.ts'
import type { Flights } from '../flight/flights.ts'
import { processMetrics } from './process-metrics.ts'
import { createProxyMetrics } from './proxy-metrics.ts'
import type { ProxyStats } from './proxy-stats.ts'

export interface AdminAppOptions {
  readonly node: string
  readonly stats: ProxyStats
  readonly flights: Flights
  readonly store: ContentStore
  readonly coordinator: Coordinator
  readonly logger: FastifyBaseLogger
  /** False once the proxy drains. */
  readonly isReady: () => boolean
}

/** The face towards operators: is it alive, and what has it done. */
export function createAdminApp(options: AdminAppOptions): FastifyInstance {
  const { node, stats, flights, store, coordinator, logger, isReady } = options
  const app = createApp(logger)
  app.get('/healthz', () => ({ status: 'ok' }))
  app.get('/readyz', (_request, reply) =>
    isReady() ? reply.send({ status: 'ready' }) : reply.code(503).send({ status: 'draining' }),
  )
  app.get('/v1/status', async () => {
    const { degraded, degradedPulls } = coordinator.status()
    return {
      node,
      bytes: stats.bytes,
      upstreamRequests: stats.upstreamRequests,
      responses: stats.responses,
      degraded: { active: degraded, pulls: degradedPulls },
      rateLimits: Object.fromEntries(stats.upstreams.rateLimits),
      inflight: await flights.status(),
      store: store.totals(),
    }
  })
  const ofProcess = processMetrics()
  const ofProxy = createProxyMetrics(options)
  app.get('/metrics', async (_request, reply) => {
    const texts = await Promise.all([ofProxy.metrics(), ofProcess.metrics()])
    return reply.type(ofProxy.contentType).send(texts.join('\n'))
  })
  return app
}
