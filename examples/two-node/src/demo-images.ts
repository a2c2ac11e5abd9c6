import { join } from 'node:path'

import { createImage, createLayer, type Image } from '@layerlock/test-support'

import type { ImageReference } from './options.ts'

/** An image in files, and what it is called in the registry. */
export interface DemoImage {
  readonly files: Image
  readonly reference: ImageReference
}

/** What the demo's registry has. */
export interface DemoImages {
  readonly app: DemoImage
  readonly large: DemoImage
}

const mebibyte = 2 ** 20

/** What the demo's registry sends in all, in bytes per second. */
export const registryRate = 11 * mebibyte

/**
 * 44 MiB. Downloads share the rate evenly, so that these layers take 3, 2, 4 and 2 s when all four begin at once: a
 * quarter of the rate each for 2 s, then a half for 1 s, then all of it for 1 s.
 */
const appLayerBytes = [11, 5.5, 22, 5.5].map((mebibytes) => mebibytes * mebibyte)
/** 5 s: long enough that what is on its way when a node is killed weighs little. */
const largeLayerBytes = [55 * mebibyte]

/** Makes the images. Their bytes are pseudo-random, and the same in every run. */
export async function makeDemoImages(folder: string): Promise<DemoImages> {
  const [app, large] = await Promise.all([
    makeImage(folder, { repository: 'demo/app', tag: '1' }, appLayerBytes),
    makeImage(folder, { repository: 'demo/large', tag: '1' }, largeLayerBytes),
  ])
  return { app, large }
}

async function makeImage(folder: string, reference: ImageReference, layerBytes: readonly number[]): Promise<DemoImage> {
  const imageFolder = join(folder, reference.repository)
  const layers = await Promise.all(
    layerBytes.map((sizeBytes, index) =>
      createLayer({ folder: join(imageFolder, 'layers'), sizeBytes, seed: `${reference.repository}-${index + 1}` }),
    ),
  )
  return { reference, files: await createImage({ folder: imageFolder, layers }) }
}
