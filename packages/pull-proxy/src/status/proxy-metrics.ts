import { Counter, Gauge, Registry } from 'prom-client'
import type { ContentStore } from '../content/content-store.ts'
import type { Coordinator } from '../coordination/coordinator.ts'
import type { Flights } from '../flight/flights.ts'
import type { ProxyStats } from './proxy-stats.ts'

/** What a proxy's metrics tell of. */
export interface Observed {
  readonly stats: ProxyStats
  readonly flights: Flights
  readonly store: ContentStore
  readonly coordinator: Coordinator
}

type Counts = Readonly<Record<string, number>> | ReadonlyMap<string, number>
type Read = () => number | Promise<number>

/** The metrics of a proxy, see docs/operations.md. All is looked up when somebody asks. */
export function createProxyMetrics({ stats, flights, store, coordinator }: Observed): Registry {
  const metrics = new Metrics()
  metrics.totals('bytes', 'Bytes of content, by the way that they went.', 'kind', () => stats.bytes)
  metrics.totals('responses', 'Answers with content, by where it was.', 'source', () => stats.responses)
  metrics.totals('upstream_requests', 'Requests to upstreams.', 'kind', () => stats.upstreamRequests)
  metrics.totals('upstream_rate_limited', 'Answers of 429 by upstreams.', 'upstream', () => stats.upstreams.rateLimited)
  metrics.gauges(
    'upstream_ratelimit_remaining',
    'How many requests an upstream still takes, as it said last.',
    'upstream',
    () => rateLimitsOf(stats, 'remaining'),
  )
  metrics.gauges('upstream_ratelimit_limit', 'Of how many that is.', 'upstream', () => rateLimitsOf(stats, 'limit'))
  metrics.totals('stale_tags', 'Tags answered with what they named last.', 'upstream', () => stats.upstreams.staleTags)
  metrics.total('degraded_pulls', 'Fetches without the lock server.', () => coordinator.status().degradedPulls)
  metrics.gauge('degraded', 'Whether the lock server gave no answer when it was asked last.', () =>
    Number(coordinator.status().degraded),
  )
  metrics.gauge('flights', 'Blobs that are being fetched.', async () => (await flights.status()).length)
  metrics.gauge('flight_readers', 'Clients and peers that follow them.', async () =>
    (await flights.status()).reduce((sum, { readers }) => sum + readers, 0),
  )
  metrics.gauge('store_blobs', 'Blobs in the store.', () => store.totals().blobs)
  metrics.gauge('store_bytes', 'Their bytes.', () => store.totals().bytes)
  return metrics.registry
}

function rateLimitsOf({ upstreams }: ProxyStats, what: 'limit' | 'remaining'): Counts {
  return new Map(
    [...upstreams.rateLimits].flatMap(([name, { [what]: value }]) => (value === undefined ? [] : [[name, value]])),
  )
}

/** Metrics whose values are read when somebody asks. */
class Metrics {
  readonly registry = new Registry()

  gauge(name: string, help: string, read: Read): void {
    this.registry.registerMetric(
      new Gauge({
        name: `layerlock_proxy_${name}`,
        help,
        registers: [],
        async collect() {
          this.set(await read())
        },
      }),
    )
  }

  total(name: string, help: string, read: () => number): void {
    this.registry.registerMetric(
      new Counter({
        name: `layerlock_proxy_${name}_total`,
        help,
        registers: [],
        collect() {
          this.reset()
          this.inc(read())
        },
      }),
    )
  }

  gauges(name: string, help: string, label: string, read: () => Counts): void {
    const gauge = new Gauge({
      name: `layerlock_proxy_${name}`,
      help,
      labelNames: [label],
      registers: [],
      collect() {
        this.reset()
        for (const [value, count] of entriesOf(read())) this.set({ [label]: value }, count)
      },
    })
    this.registry.registerMetric(gauge)
  }

  totals(name: string, help: string, label: string, read: () => Counts): void {
    const counter = new Counter({
      name: `layerlock_proxy_${name}_total`,
      help,
      labelNames: [label],
      registers: [],
      collect() {
        this.reset()
        for (const [value, count] of entriesOf(read())) this.inc({ [label]: value }, count)
      },
    })
    this.registry.registerMetric(counter)
  }
}

function entriesOf(counts: Counts): Iterable<readonly [string, number]> {
  return counts instanceof Map ? (counts as ReadonlyMap<string, number>).entries() : Object.entries(counts)
}
