import { expect, test } from 'vitest'
import { createProxyMetrics, type Observed } from './proxy-metrics.ts'
import { ProxyStats } from './proxy-stats.ts'

/** What a proxy would have to tell; the parts that are only asked for numbers are those numbers. */
function observed(stats: ProxyStats): Observed {
  return {
    stats,
    flights: { status: () => Promise.resolve([{ readers: 2 }, { readers: 3 }]) },
    store: { totals: () => ({ blobs: 7, bytes: 7_000 }) },
    coordinator: { status: () => ({ degraded: true, degradedPulls: 4 }) },
  } as unknown as Observed
}

async function samplesOf(stats: ProxyStats): Promise<string[]> {
  const text = await createProxyMetrics(observed(stats)).metrics()
  return text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
}

test('tells what a proxy has done and has', async () => {
  const stats = new ProxyStats(['docker.io'])
  stats.received('upstream', 10)
  stats.received('peer', 20)
  stats.sent('clients', 30)
  stats.sent('peers', 40)
  stats.upstreamRequest('manifests')
  stats.responses.inflight++
  expect(await samplesOf(stats)).toEqual([
    'layerlock_proxy_bytes_total{kind="upstream"} 10',
    'layerlock_proxy_bytes_total{kind="peer"} 20',
    'layerlock_proxy_bytes_total{kind="served"} 30',
    'layerlock_proxy_bytes_total{kind="relayed"} 40',
    'layerlock_proxy_responses_total{source="store"} 0',
    'layerlock_proxy_responses_total{source="inflight"} 1',
    'layerlock_proxy_responses_total{source="peer"} 0',
    'layerlock_proxy_responses_total{source="upstream"} 0',
    'layerlock_proxy_upstream_requests_total{kind="blobs"} 0',
    'layerlock_proxy_upstream_requests_total{kind="manifests"} 1',
    'layerlock_proxy_upstream_requests_total{kind="tokens"} 0',
    'layerlock_proxy_degraded_pulls_total 4',
    'layerlock_proxy_degraded 1',
    'layerlock_proxy_flights 2',
    'layerlock_proxy_flight_readers 5',
    'layerlock_proxy_store_blobs 7',
    'layerlock_proxy_store_bytes 7000',
  ])
})

test('tells what upstreams said of their limits, as it is now', async () => {
  const stats = new ProxyStats(['docker.io'])
  const metrics = createProxyMetrics(observed(stats))
  stats.rateLimit('docker.io', { limit: 100, remaining: 9 })
  await metrics.metrics()
  stats.rateLimit('docker.io', { remaining: 8 })
  stats.rateLimited('ghcr.io')
  stats.staleTag('ghcr.io')
  const samples = (await metrics.metrics()).split('\n').filter((line) => line.includes('upstream='))
  expect(samples).toEqual([
    'layerlock_proxy_upstream_rate_limited_total{upstream="ghcr.io"} 1',
    'layerlock_proxy_upstream_ratelimit_remaining{upstream="docker.io"} 8',
    'layerlock_proxy_stale_tags_total{upstream="ghcr.io"} 1',
  ])
})
