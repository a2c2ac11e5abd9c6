import type { Registry } from 'prom-client'
import { processMetrics } from '../metrics/process-metrics.ts'
import type { ApiApp } from './api-app.ts'

/** `GET /metrics`: the server's metrics and those of its process, in Prometheus' text form. */
export function registerMetricsRoutes(app: ApiApp, registry: Registry): void {
  const ofProcess = processMetrics()
  app.get('/metrics', async (_request, reply) => {
    const texts = await Promise.all([registry.metrics(), ofProcess.metrics()])
    return reply.type(registry.contentType).send(texts.join('\n'))
  })
}
