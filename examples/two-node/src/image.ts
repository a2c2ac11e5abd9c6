import type { Dispatcher } from 'undici'

import { download } from './download.ts'
import type { ImageReference } from './options.ts'

/** Content by its digest. */
export interface Content {
  readonly digest: string
  /** Bytes. */
  readonly size: number
}

/** An image: all that one platform's pull consists of. */
export interface Image extends ImageReference {
  /** What the tag names, and, when that is an index, the manifest for this platform. */
  readonly manifests: readonly Content[]
  readonly config: Content
  readonly layers: readonly Content[]
}

/** Through what to read. */
export interface ImageSource {
  /** URL of the registry or proxy. */
  readonly url: string
  /** For the `ns` parameter, by which a mirror knows which registry is meant. */
  readonly namespace: string
  readonly dispatcher: Dispatcher
  readonly signal: AbortSignal
}

interface Manifest {
  readonly config?: Content
  readonly layers?: readonly Content[]
  /** Of an index. */
  readonly manifests?: readonly (Content & {
    readonly platform?: { readonly architecture: string; readonly os: string }
  })[]
}

const manifestTypes = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
]

/** Where an image's content is, as a client of a mirror asks for it. */
export function contentUrl(
  { url, namespace }: ImageSource,
  { repository }: ImageReference,
  path: `${'blobs' | 'manifests'}/${string}`,
): string {
  return `${url}/v2/${repository}/${path}?ns=${namespace}`
}

/** Bytes of an image, everything counted once. */
export function uniqueBytes({ manifests, config, layers }: Image): number {
  return uniqueByDigest([...manifests, config, ...layers]).reduce((sum, { size }) => sum + size, 0)
}

/** Reads the manifest that a tag names, by way of an index if need be. Every digest is compared. */
export async function readImage(source: ImageSource, reference: ImageReference): Promise<Image> {
  const top = await readManifest(source, reference, reference.tag)
  const platform = top.manifest.manifests?.find(isForThisMachine)
  if (top.manifest.manifests !== undefined && platform === undefined) {
    throw new Error(`${reference.repository}:${reference.tag} has no image for linux/${architecture()}`)
  }
  const chosen = platform === undefined ? top : await readManifest(source, reference, platform.digest)
  const { config, layers } = chosen.manifest
  if (config === undefined || layers === undefined) {
    throw new Error(`${reference.repository}:${reference.tag} is no image that can be pulled`)
  }
  return {
    ...reference,
    manifests: uniqueByDigest([top.content, chosen.content]),
    config,
    layers: uniqueByDigest(layers),
  }
}

/** Some images have the same layer twice; nobody pulls it twice. */
function uniqueByDigest(contents: readonly Content[]): Content[] {
  return [...new Map(contents.map((content) => [content.digest, content])).values()]
}

async function readManifest(
  source: ImageSource,
  image: ImageReference,
  reference: string,
): Promise<{ readonly content: Content; readonly manifest: Manifest }> {
  const { dispatcher, signal } = source
  const pieces: Uint8Array[] = []
  const content = await download({
    url: contentUrl(source, image, `manifests/${reference}`),
    headers: { accept: manifestTypes.join(', ') },
    ...(reference.startsWith('sha256:') ? { digest: reference } : {}),
    onBytes: (bytes) => pieces.push(bytes),
    dispatcher,
    signal,
  })
  return { content, manifest: JSON.parse(Buffer.concat(pieces).toString()) as Manifest }
}

function isForThisMachine({ platform }: NonNullable<Manifest['manifests']>[number]): boolean {
  return platform?.os === 'linux' && platform.architecture === architecture()
}

/** In the words of OCI, which are Go's. */
function architecture(): string {
  return process.arch === 'x64' ? 'amd64' : process.arch
}
