import { type Digest, isDigest } from './digest.ts'

/** Everything that a tag can name, in the order in which a registry should choose. */
export const MANIFEST_TYPES = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
] as const

/** The largest manifest that is taken, in bytes; clients and registries draw the line at 4 MiB too. */
export const MANIFEST_MAX_BYTES = 4 * 1024 * 1024

/** Longer ones are no media types (RFC 6838, 4.2: 127 characters each for type and subtype). */
const MAX_TYPE_LENGTH = 255

/**
 * The media type of a manifest, from its own bytes: its `mediaType`, and where it has none (OCI leaves it optional) what
 * its fields say. So the type need not be kept beside the blob, where it could get lost or be wrong.
 */
export function manifestTypeOf(bytes: Uint8Array): string {
  const manifest = parseObject(bytes)
  const { mediaType } = manifest
  if (typeof mediaType === 'string' && mediaType.length <= MAX_TYPE_LENGTH && /^[\w.+-]+\/[\w.+-]+$/.test(mediaType))
    return mediaType
  if (Array.isArray(manifest['manifests'])) return 'application/vnd.oci.image.index.v1+json'
  if (Array.isArray(manifest['fsLayers'])) return 'application/vnd.docker.distribution.manifest.v1+prettyjws'
  return 'application/vnd.oci.image.manifest.v1+json'
}

/** Whether bytes can be a manifest at all, which is a JSON object. */
export function isManifest(bytes: Uint8Array): boolean {
  const value = parseJson(bytes)
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function parseObject(bytes: Uint8Array): Record<string, unknown> {
  const value = parseJson(bytes)
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes))
  } catch {
    return undefined
  }
}

/** The sizes of everything that a manifest or an index names, by digest. What makes no sense is left out. */
export function sizesOf(bytes: Uint8Array): Map<Digest, number> {
  const { config, layers, manifests } = parseObject(bytes)
  const descriptors = [config, layers, manifests].flat().filter((each) => typeof each === 'object' && each !== null)
  const sizes = new Map<Digest, number>()
  for (const { digest, size } of descriptors as Record<string, unknown>[]) {
    if (typeof digest === 'string' && isDigest(digest) && Number.isSafeInteger(size) && (size as number) >= 0)
      sizes.set(digest, size as number)
  }
  return sizes
}
