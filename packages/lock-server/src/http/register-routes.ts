import { Registry } from 'prom-client'
import { addServiceMetrics } from '../metrics/service-metrics.ts'
import type { LockService } from '../service/lock-service.ts'
import type { LockStore } from '../store/lock-store.ts'
import type { ApiApp } from './api-app.ts'
import { registerBatchRoutes } from './batch-routes.ts'
import { BearerTokens, registerBearerTokens } from './bearer-tokens.ts'
import type { Drain } from './drain.ts'
import { registerErrorAnswers } from './error-answers.ts'
import { registerEventRoutes } from './event-routes.ts'
import { registerHealthRoutes } from './health-routes.ts'
import { registerJsonBodies } from './json-bodies.ts'
import { registerListRoutes } from './list-routes.ts'
import { registerLockRoutes } from './lock-routes.ts'
import { registerMetricsRoutes } from './metrics-routes.ts'
import { registerOpenapiRoutes } from './openapi-routes.ts'
import { registerAcquireMetrics, registerRequestMetrics } from './request-metrics.ts'
import { registerSessionRoutes } from './session-routes.ts'

/** What the routes speak for. */
export interface Backend {
  readonly service: LockService
  readonly drain: Drain
  /** Default: none, and no call needs one. */
  readonly tokens?: BearerTokens | undefined
  /** Looked at for whether the server is ready. */
  readonly store?: Pick<LockStore, 'failure'> | undefined
}

/** Gives an app all that a lock server answers. */
export function registerRoutes(app: ApiApp, { service, drain, tokens = new BearerTokens([]), store }: Backend): void {
  const registry = new Registry()
  // What looks at all routes goes before them.
  registerRequestMetrics(app, registry)
  registerAcquireMetrics(app, registry)
  registerErrorAnswers(app)
  registerJsonBodies(app)
  registerBearerTokens(app, tokens)
  registerHealthRoutes(app, drain, store)
  registerSessionRoutes(app, service, drain)
  registerLockRoutes(app, service)
  registerBatchRoutes(app, service)
  registerListRoutes(app, service)
  const eventReaders = registerEventRoutes(app, service.events, drain)
  registerMetricsRoutes(app, registry)
  registerOpenapiRoutes(app)
  addServiceMetrics(registry, service, eventReaders)
}
