import { AcquireAnswer, ROUTES } from '@layerlock/protocol'
import type { FastifyRequest } from 'fastify'
import { Counter, type Registry } from 'prom-client'
import { DurationHistogram, type DurationSeries } from '../metrics/duration-histogram.ts'
import { type ApiApp, fastifyPath } from './api-app.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Whether its answer goes on until somebody ends it. */
    readonly stream?: boolean
  }
}

interface CallCounts {
  readonly method: string
  readonly route: string
  readonly byStatus: Map<number, number>
  readonly durations: DurationSeries
}

/** The route of calls that are none. */
const NO_ROUTE = 'none'

/** Counts all calls, by their routes' patterns, from here on: routes that are registered before are left out. */
export function registerRequestMetrics(app: ApiApp, registry: Registry): void {
  const all: CallCounts[] = []
  const durations = new DurationHistogram({
    name: 'layerlock_server_request_duration_seconds',
    help: 'How long calls took, but for those that asked to wait and for streams.',
    labelNames: ['method', 'route'],
    registers: [registry],
  })
  const countsOf = (method: string, route: string): CallCounts => {
    const counts = { method, route, byStatus: new Map(), durations: durations.series({ method, route }) }
    all.push(counts)
    return counts
  }
  const requests = new Counter({
    name: 'layerlock_server_requests_total',
    help: 'Calls answered.',
    labelNames: ['method', 'route', 'status'],
    registers: [],
    collect() {
      this.reset()
      for (const { method, route, byStatus } of all) {
        for (const [status, count] of byStatus) this.inc({ method, route, status }, count)
      }
    },
  })
  registry.registerMetric(requests)

  const streaming = new WeakSet<FastifyRequest>()
  app.addHook('onRoute', (route) => {
    const isStream = route.config?.stream === true
    for (const method of [route.method].flat()) {
      const counts = countsOf(method, route.url.replace(':key', '{key}'))
      const count = (status: number) => counts.byStatus.set(status, (counts.byStatus.get(status) ?? 0) + 1)
      route.onResponse = [
        (request, { statusCode, elapsedTime }, done) => {
          if (!streaming.has(request)) count(statusCode)
          if (!isStream && !askedToWait(request)) counts.durations.observe(elapsedTime)
          done()
        },
      ]
      if (!isStream) continue
      // Not every stream is ended by the server, and of the others the framework says nothing.
      route.preHandler = (request, { raw }, done) => {
        streaming.add(request)
        raw.once('close', () => count(raw.statusCode))
        done()
      }
    }
  })
  // By the method too there is one only: a caller could name any number of others.
  const unknown = countsOf('any', NO_ROUTE)
  app.addHook('onResponse', (request, { statusCode }, done) => {
    if (request.is404) unknown.byStatus.set(statusCode, (unknown.byStatus.get(statusCode) ?? 0) + 1)
    done()
  })
}

/** A call that is held back takes as long as it takes. */
function askedToWait({ body, query }: FastifyRequest): boolean {
  return waitMsOf(body) > 0 || waitMsOf(query) > 0
}

function waitMsOf(value: unknown): number {
  if (typeof value !== 'object' || value === null || !('waitMs' in value)) return 0
  return Number(value.waitMs)
}

/** Counts what callers of acquire were told, be it in a call of its own or in a batch; from here on, as above. */
export function registerAcquireMetrics(app: ApiApp, registry: Registry): void {
  const counts = new Map<string, number>(AcquireAnswer.anyOf.map(({ properties }) => [properties.status.const, 0]))
  const count = (answer: object) => {
    if (!('status' in answer) || typeof answer.status !== 'string') return
    const before = counts.get(answer.status)
    if (before !== undefined) counts.set(answer.status, before + 1)
  }
  const acquires = new Counter({
    name: 'layerlock_server_acquires_total',
    help: 'Answers to acquire, refusals not included.',
    labelNames: ['status'],
    registers: [],
    collect() {
      this.reset()
      for (const [status, amount] of counts) this.inc({ status }, amount)
    },
  })
  registry.registerMetric(acquires)
  const acquirePath = fastifyPath(ROUTES.acquire.path)
  app.addHook('onRoute', (route) => {
    if (route.url === acquirePath) {
      route.preSerialization = (_request, _reply, payload, done) => {
        count(payload as object)
        done(null, payload)
      }
    }
    if (route.url === ROUTES.batch.path) {
      route.preSerialization = (_request, _reply, payload, done) => {
        const { answers = [] } = payload as { answers?: readonly object[] }
        for (const answer of answers) count(answer)
        done(null, payload)
      }
    }
  })
}
