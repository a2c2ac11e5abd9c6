import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  createRootFilesystemImage,
  type Image,
  type RecordedServer,
  requireBinaries,
  requireRoot,
  skopeoPull,
  startCountingProxy,
  startDockerRegistry,
  temporaryFolder,
  writeRegistriesConf,
} from '@layerlock/test-support'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Cluster, startCluster } from '../cluster.ts'
import { type PullClient, type PullClientKind, pullClients } from './pull-clients.ts'

const MIB = 1024 * 1024
const REFERENCE = 'docker.io/library/debian-demo:1'
/** Making a Debian root file system needs root too. */
const canMakeImage = requireBinaries('docker-registry', 'mmdebstrap').available && requireRoot().available

describe.skipIf(!canMakeImage)('an image of a real registry', () => {
  const parts = new AsyncDisposableStack()
  let image: Image
  let upstream: RecordedServer

  beforeAll(async () => {
    const folder = parts.use(await temporaryFolder('image')).path
    image = await createRootFilesystemImage({ folder, extraLayerBytes: 32 * MIB, multiPlatform: true })
    const registry = parts.use(await startDockerRegistry())
    await registry.pushImage(image, { repository: 'library/debian-demo', tag: '1' })
    // Slow enough that pulls which begin together stay together, fast enough for a test.
    upstream = parts.use(await startCountingProxy({ target: registry.url, rateBytesPerSecond: 40 * MIB }))
  })
  afterAll(() => parts.disposeAsync())

  beforeEach(() => upstream.requests.clear())

  /** Each of these was fetched exactly once, byte for byte, and nothing else was. */
  async function expectFetchedOnce(cluster: Cluster, digests: readonly string[]): Promise<void> {
    await upstream.requests.settled()
    for (const digest of digests) {
      expect(upstream.requests.countOf({ method: 'GET', digest }), `GETs of ${digest}`).toBe(1)
    }
    const sizes = new Map([...image.blobs, ...image.manifests].map(({ digest, size }) => [digest, size]))
    const unique = digests.reduce((sum, digest) => sum + sizes.get(digest)!, 0)
    expect(upstream.requests.bytesOf(), 'bytes that upstream sent').toBe(unique)
    const nodes = await Promise.all(cluster.proxies.map((proxy) => proxy.status()))
    const received = nodes.reduce((sum, { bytes }) => sum + bytes.upstream, 0)
    expect(received, 'bytes that the proxies say they fetched').toBe(unique)
  }

  async function expectNothingFetched(): Promise<void> {
    await upstream.requests.settled()
    const fetched = upstream.requests.all.filter(({ method, kind }) => kind === 'blob' || method === 'GET')
    expect(
      fetched.map(({ method, url }) => `${method} ${url}`),
      'what was asked of upstream',
    ).toEqual([])
  }

  async function startClient(kind: PullClientKind, cluster: Cluster, index: number): Promise<PullClient> {
    const folder = join(cluster.folder, `client-${index}`)
    await mkdir(folder)
    return kind.start(cluster.proxies[index]!, folder)
  }

  async function pull(client: PullClient): Promise<ReadonlySet<string>> {
    return new Set(await client.pull(REFERENCE))
  }

  describe.for(pullClients)('pulled by $name', (kind) => {
    test.skipIf(!kind.available)(
      'two cold nodes at the same moment fetch each blob and manifest once, and nothing when they are warm',
      async () => {
        await using cluster = await startCluster({ nodes: ['a', 'b'], upstream: upstream.url })
        await using started = new AsyncDisposableStack()
        const clients: PullClient[] = []
        for (const index of [0, 1]) clients.push(started.use(await startClient(kind, cluster, index)))

        const whole = new Set(kind.digestsOf(image))
        expect(await Promise.all(clients.map(pull)), 'what the clients have').toEqual([whole, whole])
        await expectFetchedOnce(cluster, image.pulledDigests)

        upstream.requests.clear()
        await clients[0]!.wipe()
        expect(await pull(clients[0]!)).toEqual(whole)
        await expectNothingFetched()
      },
    )
  })

  test.skipIf(!pullClients[0]!.available)('a node that pulls later gets everything from the other', async () => {
    await using cluster = await startCluster({ nodes: ['a', 'b'], upstream: upstream.url })
    for (const index of [0, 1]) {
      await using client = await startClient(pullClients[0]!, cluster, index)
      expect(await pull(client)).toEqual(new Set(image.pulledDigests))
    }
    await expectFetchedOnce(cluster, image.pulledDigests)
    const { bytes } = await cluster.proxies[1]!.status()
    expect(bytes.upstream).toBe(0)
    expect(bytes.peer).toBe(bytes.served)
  })

  test.skipIf(!requireBinaries('skopeo').available)('all its platforms, copied by skopeo from two nodes', async () => {
    await using cluster = await startCluster({ nodes: ['a', 'b'], upstream: upstream.url })
    const all = [...image.blobs, ...image.manifests].map(({ digest }) => digest)
    const copies = cluster.proxies.map(async ({ host }, index) => {
      const folder = join(cluster.folder, `conf-${index}`)
      await mkdir(folder)
      const registriesConf = await writeRegistriesConf(folder, { 'docker.io': { mirrors: [`${host}/docker.io`] } })
      return skopeoPull(REFERENCE, { registriesConf, allPlatforms: true })
    })
    for (const { digests } of await Promise.all(copies)) expect(new Set(digests)).toEqual(new Set(all))
    await expectFetchedOnce(cluster, all)
  })
})
