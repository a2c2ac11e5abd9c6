import { copyFile, link, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { type Descriptor, digestOf, hexOf, type MediaTypes, mediaTypesOf } from './descriptor.ts'
import type { Layer } from './layer.ts'

/** One blob or manifest of an image, in a file. */
export interface ImageFile extends Descriptor {
  readonly path: string
}

/** An image in an OCI image layout. */
export interface Image {
  /** The layout's folder; `oci:<folder>:latest` for skopeo, as long as the media types are OCI's. */
  readonly folder: string
  /** What a tag refers to: the index of a multi-platform image, else the manifest. */
  readonly top: ImageFile
  /** For linux/amd64. */
  readonly manifest: ImageFile
  readonly config: ImageFile
  readonly layers: readonly ImageFile[]
  /** Of the layers' archives without compression, in their order: what clients that unpack name them by. */
  readonly diffIds: readonly string[]
  /** The index and the manifests of all platforms: what is served as manifests. */
  readonly manifests: readonly ImageFile[]
  /** Configs and layers of all platforms: what is served as blobs, each once. */
  readonly blobs: readonly ImageFile[]
  /** What a client for linux/amd64 has after a pull: top, manifest, config and layers, each once. */
  readonly pulledDigests: readonly string[]
}

/** What image to make. */
export interface CreateImageOptions {
  /** For the layout; layers are linked into it. */
  readonly folder: string
  readonly layers: readonly Layer[]
  /** Default `oci`. */
  readonly mediaTypes?: MediaTypes | undefined
  /** An index of linux/amd64 and linux/arm64, which share their layers. Default false. */
  readonly multiPlatform?: boolean | undefined
  /** What to run. Default: nothing. */
  readonly command?: readonly string[] | undefined
}

/** Writes config, manifest and index for layers, as containerd, skopeo and podman accept them. */
export async function createImage(options: CreateImageOptions): Promise<Image> {
  const { folder, mediaTypes = 'oci', multiPlatform = false } = options
  const types = mediaTypesOf[mediaTypes]
  const blobFolder = join(folder, 'blobs', 'sha256')
  await mkdir(blobFolder, { recursive: true })

  const layers = await Promise.all(
    options.layers.map(async ({ digest, size, gzip, path }): Promise<ImageFile> => {
      const mediaType = gzip ? types.gzipLayer : types.layer
      return { mediaType, digest, size, path: await linkInto(blobFolder, path, digest) }
    }),
  )
  const platforms = await Promise.all(
    (multiPlatform ? ['amd64', 'arm64'] : ['amd64']).map(async (architecture) => {
      const config = await writeJson(blobFolder, types.config, configOf(options, architecture))
      const manifest = await writeJson(blobFolder, types.manifest, {
        schemaVersion: 2,
        mediaType: types.manifest,
        config: descriptorOf(config),
        layers: layers.map(descriptorOf),
      })
      return { config, manifest, platform: { architecture, os: 'linux' } }
    }),
  )
  const { config, manifest } = platforms[0]!
  const top = multiPlatform
    ? await writeJson(blobFolder, types.index, {
        schemaVersion: 2,
        mediaType: types.index,
        manifests: platforms.map((each) => ({ ...descriptorOf(each.manifest), platform: each.platform })),
      })
    : manifest
  await writeLayout(folder, top)
  return {
    folder,
    top,
    manifest,
    config,
    layers,
    diffIds: options.layers.map(({ diffId }) => diffId),
    manifests: uniqueByDigest([top, ...platforms.map((each) => each.manifest)]),
    blobs: uniqueByDigest([...platforms.map((each) => each.config), ...layers]),
    pulledDigests: uniqueByDigest([top, manifest, config, ...layers]).map(({ digest }) => digest),
  }
}

function configOf({ layers, command }: CreateImageOptions, architecture: string): object {
  const created = '2024-01-01T00:00:00Z'
  return {
    created,
    architecture,
    os: 'linux',
    config: { Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'], Cmd: command },
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
    history: layers.map((_, index) => ({ created, created_by: `layer ${index}` })),
  }
}

async function writeLayout(folder: string, top: ImageFile): Promise<void> {
  await writeFile(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
  const entry = { ...descriptorOf(top), annotations: { 'org.opencontainers.image.ref.name': 'latest' } }
  await writeFile(join(folder, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [entry] }))
}

async function writeJson(folder: string, mediaType: string, content: object): Promise<ImageFile> {
  const bytes = Buffer.from(JSON.stringify(content))
  const digest = digestOf(bytes)
  const path = join(folder, hexOf(digest))
  await writeFile(path, bytes)
  return { mediaType, digest, size: bytes.length, path }
}

/** A hard link costs nothing; across file systems it has to be a copy. */
async function linkInto(folder: string, path: string, digest: string): Promise<string> {
  const target = join(folder, hexOf(digest))
  await link(path, target).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code === 'EEXIST') return
    if (error.code !== 'EXDEV') throw error
    await copyFile(path, target)
  })
  return target
}

function descriptorOf({ mediaType, digest, size }: Descriptor): Descriptor {
  return { mediaType, digest, size }
}

function uniqueByDigest<T extends Descriptor>(files: readonly T[]): T[] {
  return [...new Map(files.map((file) => [file.digest, file])).values()]
}
