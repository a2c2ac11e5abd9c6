import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  createBuildah,
  createPodman,
  type ProxyProcess,
  requireBinaries,
  requireRoot,
  skopeoPull,
  startContainerd,
  startDockerd,
  writeAuthFile,
  writeHostsFolder,
  writeRegistriesConf,
} from '@layerlock/test-support'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Cluster, startCluster } from '../cluster.ts'
import { type AuthKind, type PrivateRegistry, startPrivateRegistry, type UserName } from './private-registry.ts'

const available = requireBinaries('docker-registry', 'openssl').available
const KINDS: readonly AuthKind[] = ['tokens', 'passwords']
const HIS = 'docker.io/private/b:1'
const HERS = 'docker.io/private/a:1'

describe.skipIf(!available).for(KINDS)('clients with users of a registry with %s', (kind) => {
  const parts = new AsyncDisposableStack()
  let registry: PrivateRegistry
  let cluster: Cluster
  let proxy: ProxyProcess

  beforeAll(async () => {
    registry = parts.use(await startPrivateRegistry(kind))
  })
  afterAll(() => parts.disposeAsync())

  beforeEach(async () => {
    registry.upstream.requests.clear()
    cluster = await startCluster({
      nodes: ['a'],
      upstream: registry.upstream.url,
      proxyArgs: ['--auth', 'passthrough'],
    })
    proxy = cluster.proxies[0]!
    return () => cluster[Symbol.asyncDispose]()
  })

  function credentialsOf(user: UserName): string {
    return `${user}:${registry.passwordOf(user)}`
  }

  /** podman and its relatives look up credentials by the mirror's `host:port`. */
  async function settingsOf(user: UserName) {
    const folder = join(cluster.folder, user)
    await mkdir(folder)
    return {
      authFile: await writeAuthFile(folder, { [proxy.host]: credentialsOf(user) }),
      registriesConf: await writeRegistriesConf(folder, { 'docker.io': { mirrors: [`${proxy.host}/docker.io`] } }),
    }
  }

  /** Each part of both images came from upstream once, though both have a layer in common. */
  async function fetchesOfBoth(): Promise<Record<string, number>> {
    await registry.upstream.requests.settled()
    const fetched = registry.upstream.requests.matching({ method: 'GET', status: 200 })
    const digests = fetched.flatMap(({ kind: what, digest }) =>
      what === 'ping' || digest === undefined ? [] : [digest],
    )
    return Object.fromEntries(digests.map((digest) => [digest, digests.filter((each) => each === digest).length]))
  }

  function onceEach(): Record<string, number> {
    const digests = [...registry.a.pulledDigests, ...registry.b.pulledDigests]
    return Object.fromEntries(digests.map((digest) => [digest, 1]))
  }

  test.skipIf(!requireBinaries('containerd', 'ctr').available || !requireRoot().available)(
    'containerd: each pulls their own image, and not the other’s',
    async () => {
      const hostsFolder = await writeHostsFolder(`${cluster.folder}/hosts`, { 'docker.io': { mirrors: [proxy.url] } })
      await using hers = await startContainerd()
      await hers.pull(HERS, { hostsFolder, user: credentialsOf('alice') })
      await hers.check(HERS)
      expect(new Set(await hers.verifyContent())).toEqual(new Set(registry.a.pulledDigests))

      await using his = await startContainerd()
      await expect(his.pull(HERS, { hostsFolder, user: credentialsOf('bob') })).rejects.toThrow(/ctr .* failed/)
      await expect(his.pull(HERS, { hostsFolder })).rejects.toThrow(/ctr .* failed/)
      expect(await his.contentDigests()).toEqual([])
      await his.pull(HIS, { hostsFolder, user: credentialsOf('bob') })
      expect(new Set(await his.verifyContent())).toEqual(new Set(registry.b.pulledDigests))
      expect(await fetchesOfBoth()).toEqual(onceEach())
    },
  )

  test.skipIf(!requireBinaries('dockerd', 'docker', 'containerd', 'ctr').available || !requireRoot().available)(
    'Docker Engine: each pulls their own image, and not the other’s',
    async () => {
      await using daemon = await startDockerd({ registryMirrors: [proxy.url] })
      expect((await daemon.pull(HERS, { user: credentialsOf('alice') })).imageId).toBe(registry.a.config.digest)
      await daemon.wipe()
      await expect(daemon.pull(HERS, { user: credentialsOf('bob') })).rejects.toThrow(/docker .* failed/)
      await expect(daemon.pull(HERS)).rejects.toThrow(/docker .* failed/)
      expect((await daemon.pull(HIS, { user: credentialsOf('bob') })).imageId).toBe(registry.b.config.digest)
      expect(await fetchesOfBoth()).toEqual(onceEach())
    },
  )

  test.skipIf(!requireBinaries('skopeo').available)(
    'skopeo: each copies their own image, and not the other’s',
    async () => {
      const [hers, his] = [await settingsOf('alice'), await settingsOf('bob')]
      const { registriesConf } = his
      expect((await skopeoPull(HERS, hers)).topDigest).toBe(registry.a.manifest.digest)
      await expect(skopeoPull(HERS, his)).rejects.toThrow(/skopeo .* failed/)
      await expect(skopeoPull(HERS, { registriesConf })).rejects.toThrow(/skopeo .* failed/)
      expect((await skopeoPull(HIS, his)).topDigest).toBe(registry.b.manifest.digest)
      expect(await fetchesOfBoth()).toEqual(onceEach())
    },
  )

  test.skipIf(!requireBinaries('skopeo').available)('skopeo: credentials of its command line', async () => {
    const direct = `${proxy.host}/docker.io/private/a:1`
    const { registriesConf } = await settingsOf('bob')
    const creds = credentialsOf('alice')
    expect((await skopeoPull(direct, { registriesConf, creds })).topDigest).toBe(registry.a.manifest.digest)
    await expect(skopeoPull(direct, { registriesConf, creds: credentialsOf('bob') })).rejects.toThrow(
      /skopeo .* failed/,
    )
  })

  test.skipIf(!requireBinaries('podman').available || !requireRoot().available)(
    'podman: each pulls their own image, and not the other’s',
    async () => {
      const [hers, his] = [await settingsOf('alice'), await settingsOf('bob')]
      const { registriesConf } = his
      await using storage = await createPodman({ registriesConf })
      await expect(storage.pull(HERS)).rejects.toThrow(/podman .* failed/)
      expect((await storage.pull(HERS, hers)).imageId).toBe(registry.a.config.digest)
      await storage.wipe()
      await expect(storage.pull(HERS, his)).rejects.toThrow(/podman .* failed/)
      expect((await storage.pull(HIS, his)).imageId).toBe(registry.b.config.digest)
      expect(await fetchesOfBoth()).toEqual(onceEach())
    },
  )

  test.skipIf(!requireBinaries('buildah').available || !requireRoot().available)(
    'buildah: each pulls their own image, and not the other’s',
    async () => {
      const [hers, his] = [await settingsOf('alice'), await settingsOf('bob')]
      const { registriesConf } = his
      await using storage = await createBuildah({ registriesConf })
      expect((await storage.pull(HERS, hers)).imageId).toBe(registry.a.config.digest)
      await storage.wipe()
      await expect(storage.pull(HERS, his)).rejects.toThrow(/buildah .* failed/)
      expect((await storage.pull(HIS, his)).imageId).toBe(registry.b.config.digest)
      expect(await fetchesOfBoth()).toEqual(onceEach())
    },
  )
})
