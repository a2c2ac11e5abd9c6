import {
  createBuildah,
  createPodman,
  type Image,
  type ProxyProcess,
  requireBinaries,
  requireRoot,
  skopeoPull,
  startContainerd,
  startDockerd,
  writeHostsFolder,
  writeRegistriesConf,
  writeRegistriesDropIn,
} from '@layerlock/test-support'

/** A container client of one node, set up to pull docker.io's images through a proxy and from nowhere else. */
export interface PullClient extends AsyncDisposable {
  /** Pulls an image of docker.io and returns all digests by which the client names it and its parts. */
  pull(reference: string): Promise<readonly string[]>
  /** Forgets all images and their content. */
  wipe(): Promise<void>
}

/** A kind of client. */
export interface PullClientKind {
  readonly name: string
  /** Whether what it needs is installed. */
  readonly available: boolean
  /** @param folder an empty one for its settings */
  start(proxy: ProxyProcess, folder: string): Promise<PullClient>
  /** The digests that it must name after it has pulled an image. */
  digestsOf(image: Image): readonly string[]
}

/** Daemons and storages need root. */
function available(...binaries: string[]): boolean {
  return requireBinaries(...binaries).available && requireRoot().available
}

function mirrorsOf(proxy: ProxyProcess) {
  return { 'docker.io': { mirrors: [`${proxy.host}/docker.io`] } }
}

const containerd: PullClientKind = {
  name: 'containerd',
  available: available('containerd', 'ctr'),
  async start(proxy, folder) {
    const daemon = await startContainerd()
    const hostsFolder = await writeHostsFolder(folder, { 'docker.io': { mirrors: [proxy.url] } })
    return {
      async pull(reference) {
        await daemon.pull(reference, { hostsFolder })
        await daemon.check(reference)
        return daemon.verifyContent()
      },
      wipe: () => daemon.wipe(),
      [Symbol.asyncDispose]: () => daemon[Symbol.asyncDispose](),
    }
  },
  digestsOf: ({ pulledDigests }) => pulledDigests,
}

/** It asks without `ns` and without a prefix: for the default upstream. */
const dockerd: PullClientKind = {
  name: 'Docker Engine',
  available: available('dockerd', 'docker', 'containerd', 'ctr'),
  async start(proxy) {
    const daemon = await startDockerd({ registryMirrors: [proxy.url] })
    return {
      async pull(reference) {
        const { imageId, topDigests, diffIds } = await daemon.pull(reference)
        return [...topDigests, imageId, ...diffIds]
      },
      wipe: () => daemon.wipe(),
      [Symbol.asyncDispose]: () => daemon[Symbol.asyncDispose](),
    }
  },
  digestsOf: ({ top, config, diffIds }) => [top.digest, config.digest, ...diffIds],
}

const podman: PullClientKind = {
  name: 'podman',
  available: available('podman'),
  async start(proxy, folder) {
    return podmanClient({ registriesConf: await writeRegistriesConf(folder, mirrorsOf(proxy)) })
  },
  digestsOf: unpackedDigests,
}

/**
 * Not CRI-O itself, which Debian 12 does not have: podman, with the same library (containers/image) and with the drop-in
 * below `registries.conf.d` that CRI-O is given.
 */
const crio: PullClientKind = {
  name: "podman with CRI-O's drop-in",
  available: podman.available,
  async start(proxy, folder) {
    await writeRegistriesDropIn(folder, mirrorsOf(proxy))
    return podmanClient({ home: folder })
  },
  digestsOf: unpackedDigests,
}

async function podmanClient(options: { registriesConf?: string; home?: string }): Promise<PullClient> {
  const storage = await createPodman({ ...options, storageDriver: 'overlay' })
  return {
    async pull(reference) {
      const { imageId, manifestDigests, diffIds } = await storage.pull(reference)
      return [...manifestDigests, imageId, ...diffIds]
    },
    wipe: () => storage.wipe(),
    [Symbol.asyncDispose]: () => storage[Symbol.asyncDispose](),
  }
}

const buildah: PullClientKind = {
  name: 'buildah',
  available: available('buildah'),
  async start(proxy, folder) {
    const registriesConf = await writeRegistriesConf(folder, mirrorsOf(proxy))
    const storage = await createBuildah({ registriesConf, storageDriver: 'overlay' })
    return {
      async pull(reference) {
        const { imageId, manifestDigest, diffIds } = await storage.pull(reference)
        return [manifestDigest, imageId, ...diffIds]
      },
      wipe: () => storage.wipe(),
      [Symbol.asyncDispose]: () => storage[Symbol.asyncDispose](),
    }
  },
  digestsOf: ({ manifest, config, diffIds }) => [manifest.digest, config.digest, ...diffIds],
}

function unpackedDigests({ top, manifest, config, diffIds }: Image): string[] {
  return [top.digest, manifest.digest, config.digest, ...diffIds]
}

const skopeo: PullClientKind = {
  name: 'skopeo',
  available: requireBinaries('skopeo').available,
  async start(proxy, folder) {
    const registriesConf = await writeRegistriesConf(folder, mirrorsOf(proxy))
    return {
      // It keeps nothing: each copy goes into a folder that is removed once all in it is hashed.
      pull: async (reference) => (await skopeoPull(reference, { registriesConf })).digests,
      wipe: async () => {},
      [Symbol.asyncDispose]: async () => {},
    }
  },
  digestsOf: ({ manifest, config, layers }) => [manifest.digest, config.digest, ...layers.map(({ digest }) => digest)],
}

/** Each client that the proxy is made for. */
export const pullClients: readonly PullClientKind[] = [containerd, dockerd, podman, buildah, skopeo, crio]
