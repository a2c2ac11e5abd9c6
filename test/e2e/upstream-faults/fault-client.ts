import { join } from 'node:path'
import {
  createPodman,
  digestOfFile,
  hexOf,
  httpGet,
  type HttpGetResult,
  type Image,
  skopeoPull,
  startContainerd,
  startDockerd,
  temporaryFolder,
  writeHostsFolder,
  writeRegistriesConf,
} from '@layerlock/test-support'
import { type ClientName, LONG_PAUSE_S, type Outcome } from './fault-row.ts'

/** What is pulled, and where from. */
export interface PullTarget {
  /** `host:port` of the proxy. */
  readonly proxy: string
  /** The name of the upstream at the proxy, and the first part of the reference. */
  readonly upstream: string
  readonly repository: string
  readonly tag: string
  readonly image: Image
}

/** A client that pulls through the proxy, which is all that it can reach. */
export interface FaultClient extends AsyncDisposable {
  /**
   * Pulls an image, and checks what it has then by digest.
   *
   * @throws Error when it has something else than the image, or takes longer than `PULL_BOUND_MS`
   */
  pull(target: PullTarget): Promise<Outcome>
}

/** The longest that a pull may take, whatever goes wrong. */
const PULL_BOUND_MS = 60_000

/** Makes a client ready for pulls through a proxy. Some have a daemon, which all pulls share. */
export async function createFaultClient(name: ClientName, proxyUrl: string): Promise<FaultClient> {
  switch (name) {
    case 'http':
      return { pull: pullByHttp, [Symbol.asyncDispose]: () => Promise.resolve() }
    case 'containerd':
      return createContainerdClient()
    case 'docker':
      return createDockerClient(proxyUrl)
    case 'skopeo':
      return createMirrorClient(async (reference, { registriesConf, timeoutMs }, image) => {
        const { topDigest, digests } = await skopeoPull(reference, { registriesConf, timeoutMs })
        assertSame([topDigest, ...digests], [...image.pulledDigests, image.top.digest])
      })
    case 'podman':
      return createMirrorClient(async (reference, { registriesConf, timeoutMs }, image) => {
        await using podman = await createPodman({ registriesConf })
        const { imageId, manifestDigests } = await podman.pull(reference, { timeoutMs })
        // It unpacks only what has the digest that the manifest says.
        assertSame([imageId, ...manifestDigests], [image.config.digest, image.manifest.digest])
      })
  }
}

/** GETs of the manifest by its tag, the config and the layers, until one fails. */
async function pullByHttp({ proxy, upstream, repository, tag, image }: PullTarget): Promise<Outcome> {
  const paths = [`manifests/${tag}`, ...image.blobs.map(({ digest }) => `blobs/${digest}`)]
  const wanted = [image.manifest.digest, ...image.blobs.map(({ digest }) => digest)]
  for (const [index, path] of paths.entries()) {
    const result = await httpGet(`http://${proxy}/v2/${upstream}/${repository}/${path}`, {
      keepBody: true,
      signal: AbortSignal.timeout(PULL_BOUND_MS),
    })
    if (result.error?.name === 'TimeoutError') throw result.error
    const { status, error, digest } = result
    if (status >= 300) return refusalOf(result)
    if (error !== undefined) return 'cut'
    if (digest !== wanted[index]) throw new Error(`${path} came as ${digest}, without an error`)
  }
  return 'served'
}

function refusalOf({ status, headers, body }: HttpGetResult): Outcome {
  if (headers['content-type'] !== 'application/json') throw new Error(`${status} as ${headers['content-type']}`)
  const { errors } = JSON.parse(String(body)) as { errors: { code: string }[] }
  const seconds = Number(headers['retry-after'])
  const retryAfter = status === 429 && seconds > 0 && seconds <= LONG_PAUSE_S
  return { status, code: errors[0]!.code, ...(retryAfter ? { retryAfter } : {}) }
}

async function createContainerdClient(): Promise<FaultClient> {
  await using parts = new AsyncDisposableStack()
  const folder = parts.use(await temporaryFolder('hosts')).path
  const containerd = parts.use(await startContainerd())
  const owned = parts.move()
  return {
    async pull({ proxy, upstream, repository, tag, image }) {
      const hostsFolder = await writeHostsFolder(folder, { [upstream]: { mirrors: [`http://${proxy}`] } })
      const reference = `${upstream}/${repository}:${tag}`
      const failure = await failureOf(containerd.pull(reference, { hostsFolder, timeoutMs: PULL_BOUND_MS }))
      if (failure !== undefined) return failure
      await containerd.check(reference)
      const files = image.pulledDigests.map((digest) => join(containerd.blobFolder, hexOf(digest)))
      assertSame(await Promise.all(files.map((file) => digestOfFile(file))), image.pulledDigests)
      return 'served'
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

async function createDockerClient(proxyUrl: string): Promise<FaultClient> {
  const docker = await startDockerd({ registryMirrors: [proxyUrl] })
  return {
    async pull({ repository, tag, image }) {
      const pulled = docker.pull(`${repository}:${tag}`, { timeoutMs: PULL_BOUND_MS })
      const failure = await failureOf(pulled)
      if (failure !== undefined) return failure
      const { imageId, topDigests } = await pulled
      // It unpacks only what has the digest that the manifest says.
      assertSame([imageId, ...topDigests], [image.config.digest, image.manifest.digest])
      return 'served'
    },
    [Symbol.asyncDispose]: () => docker[Symbol.asyncDispose](),
  }
}

interface MirrorPull {
  readonly registriesConf: string
  readonly timeoutMs: number
}

/** A client that reads a `registries.conf`, without a daemon: each pull begins with nothing. */
function createMirrorClient(
  pull: (reference: string, options: MirrorPull, image: Image) => Promise<void>,
): FaultClient {
  return {
    async pull({ proxy, upstream, repository, tag, image }) {
      await using folder = await temporaryFolder('mirror')
      const registriesConf = await writeRegistriesConf(folder.path, {
        [upstream]: { mirrors: [`${proxy}/${upstream}`] },
      })
      const options = { registriesConf, timeoutMs: PULL_BOUND_MS }
      return (await failureOf(pull(`${upstream}/${repository}:${tag}`, options, image))) ?? 'served'
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}

/** What a command that failed has printed; other errors are thrown, a killed command's too: it took too long. */
async function failureOf(pull: Promise<unknown>): Promise<{ failure: string } | undefined> {
  try {
    await pull
    return undefined
  } catch (error) {
    if (error instanceof Error && / failed with \d+:/.test(error.message)) return { failure: error.message }
    throw error
  }
}

function assertSame(actual: readonly string[], expected: readonly string[]): void {
  const missing = new Set(actual).symmetricDifference(new Set(expected))
  if (missing.size > 0) throw new Error(`a pull without an error brought something else: ${[...missing].join(', ')}`)
}
