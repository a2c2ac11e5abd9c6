import { randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { findBinary } from './binaries.ts'
import { digestOf } from './descriptor.ts'
import { createImage, type CreateImageOptions, type Image } from './image.ts'
import { createLayer, type Layer } from './layer.ts'
import { runCommand } from './run-command.ts'
import { splitArchive } from './split-archive.ts'

/** What image to make of a root filesystem. */
export interface CreateRootFilesystemImageOptions extends Omit<CreateImageOptions, 'layers'> {
  /** Size of one more layer of random bytes. Default: none. */
  readonly extraLayerBytes?: number | undefined
  /** Default 4. */
  readonly layerCount?: number | undefined
}

const suite = 'bookworm'
/** dpkg, apt and what they need: the smallest variant that is a usable Debian. */
const variant = 'minbase'
/** To be counted up when the way of building changes, so that no old cache is used. */
const recipe = 1
const buildTimeoutMs = 300_000

/**
 * Makes an image of a real Debian root filesystem, in several gzip layers of similar size, with `mmdebstrap`. It takes
 * some 25 s the first time; later ones use the layers that are kept below the system's folder for temporary files.
 *
 * @throws Error that says so when mmdebstrap is missing or fails
 */
export async function createRootFilesystemImage(options: CreateRootFilesystemImageOptions): Promise<Image> {
  const { extraLayerBytes, layerCount = 4, ...imageOptions } = options
  const layers = await rootFilesystemLayers(layerCount)
  const folder = join(options.folder, 'extra')
  const extra =
    extraLayerBytes === undefined ? [] : [await createLayer({ folder, sizeBytes: extraLayerBytes, seed: 'extra' })]
  return createImage({ command: ['/bin/bash'], ...imageOptions, layers: [...layers, ...extra] })
}

async function rootFilesystemLayers(layerCount: number): Promise<Layer[]> {
  const key = digestOf(JSON.stringify({ suite, variant, recipe, layerCount })).slice(7, 19)
  const cache = join(tmpdir(), `layerlock-rootfs-cache-${key}`)
  const kept = await readKeptLayers(cache)
  if (kept !== undefined) return kept

  // Built aside and renamed: two runs at once do not see each other's halves.
  const building = `${cache}-${randomUUID()}`
  try {
    const archive = join(building, 'root.tar')
    const { size } = await buildArchive(building, archive)
    const layers = await splitArchive(createReadStream(archive), {
      folder: building,
      partBytes: Math.ceil(size / layerCount),
    })
    await rm(archive)
    await writeFile(join(building, 'layers.json'), JSON.stringify(layers))
    await rename(building, cache).catch(async (error: NodeJS.ErrnoException) => {
      // Another run was faster.
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error
    })
  } finally {
    await rm(building, { recursive: true, force: true })
  }
  const layers = await readKeptLayers(cache)
  if (layers === undefined) throw new Error(`${cache} has no complete layers; remove it`)
  return layers
}

async function buildArchive(folder: string, archive: string): Promise<{ size: number }> {
  const mmdebstrap = findBinary('mmdebstrap')
  if (mmdebstrap === undefined) throw new Error('mmdebstrap is missing: apt-get install mmdebstrap')
  await runCommand('mkdir', ['--parents', folder])
  // A fixed time, so that equal packages make equal layers.
  const env = { SOURCE_DATE_EPOCH: '1704067200' }
  await runCommand(mmdebstrap, [`--variant=${variant}`, suite, archive], { env, timeoutMs: buildTimeoutMs })
  return stat(archive)
}

/** Layers that an earlier run made, if all of them are still there. */
async function readKeptLayers(cache: string): Promise<Layer[] | undefined> {
  try {
    const layers = JSON.parse(await readFile(join(cache, 'layers.json'), 'utf8')) as Layer[]
    const found = layers.map((layer) => ({
      ...layer,
      path: join(cache, layer.path.slice(layer.path.lastIndexOf('/'))),
    }))
    for (const { path, size } of found) {
      if ((await stat(path)).size !== size) return undefined
    }
    return found
  } catch {
    return undefined
  }
}
