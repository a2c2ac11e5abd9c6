import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type Containerd,
  createPodman,
  createRootFilesystemImage,
  type Image,
  type ProxyProcess,
  type RecordedServer,
  requireBinaries,
  requireRoot,
  skopeoPull,
  startContainerd,
  startCountingProxy,
  startDockerRegistry,
  temporaryFolder,
  writeHostsFolder,
  writeRegistriesConf,
} from '@layerlock/test-support'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Cluster, startCluster } from './cluster.ts'

const MIB = 1024 * 1024
const REFERENCE = 'docker.io/library/debian-demo:1'
/** Making a Debian root file system needs root too. */
const canMakeImage = requireBinaries('docker-registry', 'mmdebstrap').available && requireRoot().available
const containerdParts = requireBinaries('containerd', 'ctr')
const canUseContainerd = containerdParts.available && requireRoot().available

describe.skipIf(!canMakeImage)('an image of a real registry', () => {
  const parts = new AsyncDisposableStack()
  let folder: string
  let image: Image
  let upstream: RecordedServer
  let cluster: Cluster

  beforeAll(async () => {
    folder = parts.use(await temporaryFolder('image')).path
    image = await createRootFilesystemImage({ folder, extraLayerBytes: 200 * MIB, multiPlatform: true })
    const registry = parts.use(await startDockerRegistry())
    await registry.pushImage(image, { repository: 'library/debian-demo', tag: '1' })
    // Slow enough that pulls which begin together stay together, fast enough for a test.
    upstream = parts.use(await startCountingProxy({ target: registry.url, rateBytesPerSecond: 80 * MIB }))
  })
  afterAll(() => parts.disposeAsync())

  beforeEach(() => upstream.requests.clear())

  async function withCluster(nodes: readonly string[], run: () => Promise<void>): Promise<void> {
    await using started = await startCluster({ nodes, upstream: upstream.url })
    cluster = started
    await run()
  }

  async function subfolder(name: string): Promise<string> {
    const path = join(cluster.folder, name)
    await mkdir(path)
    return path
  }

  /** Each blob and each manifest that clients asked for was fetched exactly once, byte for byte. */
  async function expectFetchedOnce(digests: readonly string[]): Promise<void> {
    await upstream.requests.settled()
    for (const digest of digests) {
      expect(upstream.requests.countOf({ method: 'GET', digest }), `GETs of ${digest}`).toBe(1)
    }
    const sizes = new Map([...image.blobs, ...image.manifests].map(({ digest, size }) => [digest, size]))
    const unique = digests.reduce((sum, digest) => sum + sizes.get(digest)!, 0)
    expect(upstream.requests.bytesOf(), 'bytes that upstream sent').toBe(unique)
    const received = await sumOfStatus((status) => status.bytes.upstream)
    expect(received, 'bytes that the proxies say they fetched').toBe(unique)
  }

  async function sumOfStatus(pick: (status: Awaited<ReturnType<ProxyProcess['status']>>) => number): Promise<number> {
    const all = await Promise.all(cluster.proxies.map((proxy) => proxy.status()))
    return all.reduce((sum, status) => sum + pick(status), 0)
  }

  describe.skipIf(!canUseContainerd)('pulled by containerd', () => {
    test('two nodes at the same moment: every blob and manifest is fetched from upstream exactly once', async () => {
      await withCluster(['a', 'b'], async () => {
        await using daemons = new AsyncDisposableStack()
        const nodes: Containerd[] = []
        for (const _ of cluster.proxies) nodes.push(daemons.use(await startContainerd()))
        await Promise.all(
          nodes.map(async (node, index) => {
            const mirrors = [cluster.proxies[index]!.url]
            const hostsFolder = await writeHostsFolder(`${cluster.folder}/hosts-${index}`, { 'docker.io': { mirrors } })
            await node.pull(REFERENCE, { hostsFolder })
          }),
        )
        for (const node of nodes) {
          await node.check(REFERENCE)
          await node.verifyContent()
          expect(new Set(await node.contentDigests())).toEqual(new Set(image.pulledDigests))
        }
        await expectFetchedOnce(image.pulledDigests)
      })
    })

    test('a node that pulls later gets everything from the others', async () => {
      await withCluster(['a', 'b'], async () => {
        await using daemons = new AsyncDisposableStack()
        for (const [index, proxy] of cluster.proxies.entries()) {
          const node = daemons.use(await startContainerd())
          const mirrors = [proxy.url]
          const hostsFolder = await writeHostsFolder(`${cluster.folder}/hosts-${index}`, { 'docker.io': { mirrors } })
          await node.pull(REFERENCE, { hostsFolder })
          await node.check(REFERENCE)
        }
        await expectFetchedOnce(image.pulledDigests)
        const late = await cluster.proxies[1]!.status()
        expect(late.bytes.upstream).toBe(0)
        expect(late.bytes.peer).toBe(late.bytes.served)
      })
    })
  })

  test.skipIf(!requireBinaries('skopeo').available)('pulled by skopeo through two nodes at once', async () => {
    await withCluster(['a', 'b'], async () => {
      const pulls = await Promise.all(
        cluster.proxies.map(async (proxy, index) => {
          const mirrors = [`${proxy.host}/docker.io`]
          const registriesConf = await writeRegistriesConf(await subfolder(`conf-${index}`), {
            'docker.io': { mirrors },
          })
          return skopeoPull(REFERENCE, { registriesConf, allPlatforms: true })
        }),
      )
      const all = [...image.blobs, ...image.manifests].map(({ digest }) => digest)
      for (const { digests } of pulls) expect(new Set(digests)).toEqual(new Set(all))
      await expectFetchedOnce(all)
    })
  })

  test.skipIf(!requireBinaries('podman').available || !requireRoot().available)(
    'pulled by podman, and then by skopeo from the same node without upstream',
    async () => {
      await withCluster(['a'], async () => {
        const mirrors = [`${cluster.proxies[0]!.host}/docker.io`]
        const registriesConf = await writeRegistriesConf(await subfolder('conf'), { 'docker.io': { mirrors } })
        await using podman = await createPodman({ registriesConf })
        const pulled = await podman.pull(REFERENCE)
        expect(pulled.imageId).toBe(image.config.digest)
        await expectFetchedOnce(image.pulledDigests)
        const { topDigest } = await skopeoPull(REFERENCE, { registriesConf })
        expect(topDigest).toBe(image.manifest.digest)
        await expectFetchedOnce(image.pulledDigests)
      })
    },
  )
})
