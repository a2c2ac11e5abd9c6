import {
  createImage,
  createLayer,
  httpGet,
  type Image,
  type RegistryServer,
  requireBinaries,
  requireRoot,
  startContainerd,
  startRegistryServer,
  temporaryFolder,
  waitFor,
  writeHostsFolder,
} from '@layerlock/test-support'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Cluster, startCluster } from './cluster.ts'

const MIB = 1024 * 1024
const SESSION_TTL_MS = 5_000
const containerdParts = requireBinaries('containerd', 'ctr')
const canUseContainerd = containerdParts.available && requireRoot().available

describe('when something dies', () => {
  const parts = new AsyncDisposableStack()
  let image: Image
  let upstream: RegistryServer

  beforeAll(async () => {
    const { path: folder } = parts.use(await temporaryFolder('image'))
    const layer = await createLayer({ folder, sizeBytes: 200 * MIB, seed: 7 })
    image = await createImage({ folder, layers: [layer] })
    upstream = parts.use(await startRegistryServer({ rateBytesPerSecond: 25 * MIB }))
    upstream.contents.addImage(image, { repository: 'library/app', tag: '1' })
  })
  afterAll(() => parts.disposeAsync())
  beforeEach(() => upstream.requests.clear())

  /** Waits until a node has fetched this part of the layer from upstream. */
  async function halfFetched(cluster: Cluster, node: number): Promise<void> {
    const layer = image.layers[0]!
    await waitFor(
      async () => {
        const { inflight } = await cluster.proxies[node]!.status()
        return inflight.some(({ digest, done }) => digest === layer.digest && done >= layer.size / 2)
      },
      { what: `node ${node} to have half of the layer`, timeoutMs: 60_000 },
    )
  }

  async function upstreamBytes(): Promise<number> {
    await upstream.requests.settled()
    return upstream.requests.bytesOf(image.layers[0]!.digest)
  }

  const blobUrl = (cluster: Cluster, node: number) =>
    `${cluster.proxies[node]!.url}/v2/docker.io/library/app/blobs/${image.layers[0]!.digest}`

  test.skipIf(!canUseContainerd)(
    'the fetching proxy at half of a layer: the other containerd gets all of it, and upstream sends next to nothing twice',
    async () => {
      const layer = image.layers[0]!
      await using cluster = await startCluster({
        nodes: ['a', 'b'],
        upstream: upstream.url,
        proxyArgs: ['--session-ttl', `${SESSION_TTL_MS}ms`],
      })
      const owner = httpGet(blobUrl(cluster, 0))
      await waitFor(async () => (await cluster.proxies[0]!.status()).inflight.length > 0, { what: 'a to fetch' })

      await using containerd = await startContainerd()
      const hostsFolder = await writeHostsFolder(`${cluster.folder}/hosts`, {
        'docker.io': { mirrors: [cluster.proxies[1]!.url] },
      })
      const pull = containerd.pull('docker.io/library/app:1', { hostsFolder })
      await halfFetched(cluster, 0)
      await waitFor(async () => (await cluster.proxies[1]!.status()).bytes.peer > layer.size / 4, {
        what: 'b to follow',
      })
      const killedMs = performance.now()
      cluster.proxies[0]!.kill('SIGKILL')
      await pull
      const tookMs = performance.now() - killedMs
      expect((await owner).error).toBeDefined()

      await containerd.check('docker.io/library/app:1')
      await containerd.verifyContent()
      expect(await upstreamBytes()).toBeLessThanOrEqual(1.02 * layer.size)
      const takeOver = upstream.requests.matching({ digest: layer.digest }).at(-1)!
      expect(takeOver.range).toMatch(/^bytes=[1-9]\d*-$/)
      // The session's end, the rest of the download at 25 MiB/s, and room for a busy machine.
      const restMs = (layer.size / 2 / (25 * MIB)) * 1_000
      expect(tookMs).toBeLessThan(SESSION_TTL_MS + restMs + 15_000)
    },
  )

  test('a follower: the others and upstream notice nothing', async () => {
    await using cluster = await startCluster({ nodes: ['a', 'b', 'c'], upstream: upstream.url })
    const pulls = [0, 1, 2].map((node) => httpGet(blobUrl(cluster, node)))
    await waitFor(async () => (await sources(cluster)).filter((source) => source === 'peer').length === 2, {
      what: 'two nodes to follow',
    })
    const follower = (await sources(cluster)).indexOf('peer')
    cluster.proxies[follower]!.kill('SIGKILL')
    const results = await Promise.all(pulls)
    expect(results[follower]!.error).toBeDefined()
    for (const { status, digest } of results.toSpliced(follower, 1)) {
      expect({ status, digest }).toEqual({ status: 200, digest: image.layers[0]!.digest })
    }
    expect(await upstreamBytes()).toBe(image.layers[0]!.size)
  })

  test('the lock server: pulls go on without it, and are counted as degraded', async () => {
    await using cluster = await startCluster({ nodes: ['a', 'b'], upstream: upstream.url })
    cluster.lockServer.kill('SIGKILL')
    await cluster.lockServer.exited
    const results = await Promise.all([0, 1].map((node) => httpGet(blobUrl(cluster, node))))
    for (const result of results) expect(result).toMatchObject({ status: 200, digest: image.layers[0]!.digest })
    for (const proxy of cluster.proxies) {
      expect(await proxy.status()).toMatchObject({ degraded: { active: true, pulls: 1 } })
    }
  })

  test('the lock server in the middle of a layer: whoever streams goes on streaming', async () => {
    await using cluster = await startCluster({ nodes: ['a', 'b'], upstream: upstream.url })
    const pulls = [0, 1].map((node) => httpGet(blobUrl(cluster, node)))
    await waitFor(async () => (await sources(cluster)).includes('peer'), { what: 'one node to follow' })
    cluster.lockServer.kill('SIGKILL')
    for (const result of await Promise.all(pulls)) {
      expect(result).toMatchObject({ status: 200, digest: image.layers[0]!.digest })
    }
    expect(await upstreamBytes()).toBe(image.layers[0]!.size)
  })

  test('the connection to upstream at half of a layer: the rest is asked for, and clients notice nothing', async () => {
    const layer = image.layers[0]!
    upstream.fault = ({ kind, nth }) =>
      kind === 'blob' && nth === 1 ? { kind: 'cut', afterBytes: layer.size / 2 } : undefined
    try {
      await using cluster = await startCluster({ nodes: ['a', 'b'], upstream: upstream.url })
      const results = await Promise.all([0, 1].map((node) => httpGet(blobUrl(cluster, node))))
      for (const result of results) expect(result).toMatchObject({ status: 200, digest: layer.digest })
      expect(await upstreamBytes()).toBe(layer.size)
      expect(upstream.requests.matching({ digest: layer.digest }).map(({ range }) => range)).toEqual([
        undefined,
        `bytes=${layer.size / 2}-`,
      ])
    } finally {
      upstream.fault = undefined
    }
  })

  test('nothing: a stopped proxy hands its lease back, and lets its client finish', async () => {
    await using cluster = await startCluster({
      nodes: ['a', 'b'],
      upstream: upstream.url,
      proxyArgs: ['--drain', '30s'],
    })
    const pull = httpGet(blobUrl(cluster, 0))
    await halfFetched(cluster, 0)
    cluster.proxies[0]!.kill('SIGTERM')
    expect(await pull).toMatchObject({ status: 200, digest: image.layers[0]!.digest })
    expect(await cluster.proxies[0]!.exited).toMatchObject({ code: 0 })
    // It left nothing behind that would make the other node wait or skip.
    expect(await httpGet(blobUrl(cluster, 1))).toMatchObject({ status: 200, digest: image.layers[0]!.digest })
  })

  async function sources(cluster: Cluster): Promise<(string | undefined)[]> {
    const all = await Promise.all(cluster.proxies.map((proxy) => proxy.status()))
    return all.map(({ inflight }) => inflight.find(({ digest }) => digest === image.layers[0]!.digest)?.source)
  }
})
