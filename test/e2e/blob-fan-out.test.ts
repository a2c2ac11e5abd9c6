import {
  createLayer,
  httpGet,
  type Layer,
  type RegistryServer,
  startRegistryServer,
  temporaryFolder,
  waitFor,
} from '@layerlock/test-support'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Cluster, startCluster } from './cluster.ts'

const MIB = 1024 * 1024

describe('a cold blob', () => {
  const parts = new AsyncDisposableStack()
  const layers: Layer[] = []
  let upstream: RegistryServer

  beforeAll(async () => {
    const { path: folder } = parts.use(await temporaryFolder('layers'))
    upstream = parts.use(await startRegistryServer())
    for (let seed = 0; seed < 8; seed++) {
      const layer = await createLayer({ folder, sizeBytes: 200 * MIB, seed })
      layers.push(layer)
      upstream.contents.addBlob('library/app', { ...layer, mediaType: 'application/vnd.oci.image.layer.v1.tar' })
    }
  })
  afterAll(() => parts.disposeAsync())

  const blobUrl = (cluster: Cluster, node: number, { digest }: Layer) =>
    `${cluster.proxies[node]!.url}/v2/docker.io/library/app/blobs/${digest}`

  test('asked for by eight clients of one proxy is fetched once, and reaches all before the fetch is done', async () => {
    upstream.requests.clear()
    upstream.rate.bytesPerSecond = 80 * MIB
    const layer = layers[0]!
    await using cluster = await startCluster({ nodes: ['a'], upstream: upstream.url })
    const startMs = performance.now()
    const results = await Promise.all(Array.from({ length: 8 }, () => httpGet(blobUrl(cluster, 0, layer))))
    await upstream.requests.settled()
    for (const { status, digest, bytes, error } of results) {
      expect({ status, digest, bytes, error }).toEqual({
        status: 200,
        digest: layer.digest,
        bytes: layer.size,
        error: undefined,
      })
    }
    const fetches = upstream.requests.matching({ kind: 'blob' })
    expect(fetches.map(({ method, bytesSent }) => ({ method, bytesSent }))).toEqual([
      { method: 'GET', bytesSent: layer.size },
    ])
    const fetchEndMs = fetches[0]!.endedMs! - startMs
    for (const { firstByteMs } of results) expect(firstByteMs).toBeLessThan(fetchEndMs)
    const { bytes } = await cluster.proxies[0]!.status()
    expect(bytes).toMatchObject({ upstream: layer.size, peer: 0, served: 8 * layer.size })
  })

  test('eight of 200 MiB at once through one proxy take less than 200 MiB of memory', async () => {
    upstream.requests.clear()
    upstream.rate.bytesPerSecond = undefined
    await using cluster = await startCluster({ nodes: ['a'], upstream: upstream.url })
    const results = await Promise.all(
      layers.map((layer) => httpGet(blobUrl(cluster, 0, layer), { timeoutMs: 150_000 })),
    )
    await upstream.requests.settled()
    for (const [index, layer] of layers.entries()) {
      expect(results[index]).toMatchObject({ status: 200, digest: layer.digest })
      expect(upstream.requests.countOf({ method: 'GET', digest: layer.digest })).toBe(1)
    }
    expect(await cluster.proxies[0]!.peakRssBytes()).toBeLessThan(200 * MIB)
  })

  test('with wrong bytes never reaches the store, and the client sees a cut, not an end', async () => {
    upstream.requests.clear()
    upstream.rate.bytesPerSecond = undefined
    const layer = layers[1]!
    upstream.fault = ({ kind }) => (kind === 'blob' ? { kind: 'corrupt', offset: 5 * MIB } : undefined)
    await using cluster = await startCluster({ nodes: ['a', 'b'], upstream: upstream.url })
    const result = await httpGet(blobUrl(cluster, 0, layer))
    expect(result.status).toBe(200)
    expect(result.error, 'the body must not end as if it were whole').toBeDefined()
    expect(result.bytes).toBeLessThan(layer.size)
    expect(await cluster.proxies[0]!.status()).toMatchObject({ store: { blobs: 0, bytes: 0 } })

    upstream.fault = undefined
    const healed = await Promise.all([0, 1].map((node) => httpGet(blobUrl(cluster, node, layer))))
    for (const { status, digest } of healed) expect({ status, digest }).toEqual({ status: 200, digest: layer.digest })
    await upstream.requests.settled()
    expect(upstream.requests.countOf({ method: 'GET', digest: layer.digest })).toBe(2)
  })

  test('is streamed to the followers on other nodes while it still arrives', async () => {
    upstream.requests.clear()
    upstream.rate.bytesPerSecond = 50 * MIB
    const layer = layers[2]!
    await using cluster = await startCluster({ nodes: ['a', 'b', 'c'], upstream: upstream.url })
    const startMs = performance.now()
    const first = httpGet(blobUrl(cluster, 0, layer))
    await waitFor(async () => (await cluster.proxies[0]!.status()).inflight[0]?.done, { what: 'the fetch to begin' })
    const results = await Promise.all([first, httpGet(blobUrl(cluster, 1, layer)), httpGet(blobUrl(cluster, 2, layer))])
    await upstream.requests.settled()
    const sources = results.map(({ headers }) => headers['x-layerlock-source'])
    expect(sources).toEqual(['upstream', 'peer', 'peer'])
    for (const { digest } of results) expect(digest).toBe(layer.digest)
    const fetches = upstream.requests.matching({ kind: 'blob' })
    expect(fetches.map(({ bytesSent }) => bytesSent)).toEqual([layer.size])
    // `startedMs` and `endedMs` are on one clock: first bytes came before upstream had sent everything.
    const fetchEndMs = fetches[0]!.endedMs!
    for (const result of results) expect(result.startedMs + result.firstByteMs!).toBeLessThan(fetchEndMs)
    expect(fetchEndMs).toBeGreaterThan(startMs)
  })
})
