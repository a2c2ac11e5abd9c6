import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import {
  createImage,
  createLayer,
  type Image,
  type Layer,
  type RegistryServer,
  startRegistryServer,
} from '@layerlock/test-support'
import type { Contender, StartedContender } from './contender.ts'
import { type LoadProcess, startLoadProcess } from './load/load-process.ts'
import type { BenchOptions } from './options.ts'
import type { Results } from './results.ts'

/** What the scenarios share: the registry with its image, and the process that makes the load. */
export interface Setting extends AsyncDisposable {
  readonly options: BenchOptions
  readonly contenders: readonly Contender[]
  readonly folder: string
  readonly upstream: RegistryServer
  readonly image: Image
  readonly blob: Layer
  readonly load: LoadProcess
  readonly results: Results
  readonly onProgress: (text: string) => void
}

export const REPOSITORY = 'library/bench'

export async function createSetting(
  given: Pick<Setting, 'options' | 'contenders' | 'folder' | 'results' | 'onProgress'>,
): Promise<Setting> {
  await using parts = new AsyncDisposableStack()
  const { folder, options } = given
  const blob = await createLayer({ folder, sizeBytes: options.extent.blobBytes, seed: 1 })
  const image = await createImage({ folder: join(folder, 'image'), layers: [blob] })
  const upstream = parts.use(await startRegistryServer())
  upstream.contents.addImage(image, { repository: REPOSITORY, tag: 'latest' })
  const load = parts.use(await startLoadProcess())
  const owned = parts.move()
  return { ...given, upstream, image, blob, load, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

export function blobUrl(base: string, digest: string): string {
  return `${base}/v2/${REPOSITORY}/blobs/${digest}`
}

/** Starts a contender with a new folder. */
export async function startContender(
  { options, folder, upstream, image }: Setting,
  contender: Contender,
  parts: AsyncDisposableStack,
  clients = 1,
): Promise<StartedContender> {
  const own = await mkdtemp(join(folder, `${contender.name}-`))
  const { profileFolder } = options
  return contender.start({ upstream: upstream.url, clients, folder: own, image, profileFolder, parts })
}
