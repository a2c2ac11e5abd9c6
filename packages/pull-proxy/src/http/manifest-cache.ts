import { LRUCache } from 'lru-cache'
import type { Content } from '../content/content-store.ts'
import { type ContentId, contentIdOf, domainOfId } from '../oci/content-id.ts'
import { isManifest, MANIFEST_MAX_BYTES, manifestTypeOf, sizesOf } from '../oci/manifest.ts'
import { OciError } from '../oci/oci-error.ts'

/** A manifest as it is answered. */
export interface Manifest {
  readonly bytes: Buffer
  readonly mediaType: string
}

/** In memory, in bytes: a few hundred images. */
const MAX_CACHED_BYTES = 16 * 1024 * 1024
/** Sizes that are remembered: of the layers of a few thousand images. */
const MAX_SIZES = 50_000

/** Manifests that went by, which many nodes ask for again and again, and the sizes of what they name. */
export class ManifestCache {
  readonly #manifests = new LRUCache<ContentId, Manifest>({
    maxSize: MAX_CACHED_BYTES,
    sizeCalculation: ({ bytes }) => bytes.length + 1_000,
  })
  readonly #sizes = new LRUCache<ContentId, number>({ max: MAX_SIZES })

  get(id: ContentId): Manifest | undefined {
    return this.#manifests.get(id)
  }

  /**
   * Reads a manifest, and keeps it.
   *
   * @throws {OciError} `MANIFEST_INVALID` when it is too large to be one, `MANIFEST_UNKNOWN` when it is something else,
   *   such as a layer
   */
  async read(id: ContentId, content: Content): Promise<Manifest> {
    const bytes = await readWhole(content)
    if (!isManifest(bytes)) throw new OciError('MANIFEST_UNKNOWN', 'what has this digest is no manifest')
    const manifest = { bytes, mediaType: manifestTypeOf(bytes) }
    this.#manifests.set(id, manifest)
    const domain = domainOfId(id)
    for (const [named, size] of sizesOf(bytes)) this.#sizes.set(contentIdOf(named, domain), size)
    return manifest
  }

  /** The size that a manifest has given, in bytes: a hint, for anyone can write a manifest. */
  sizeOf(id: ContentId): number | undefined {
    return this.#sizes.get(id)
  }
}

async function readWhole(content: Content): Promise<Buffer> {
  if (content.size > MANIFEST_MAX_BYTES) {
    throw new OciError('MANIFEST_INVALID', `the manifest has ${content.size} bytes, more than ${MANIFEST_MAX_BYTES}`)
  }
  const bytes = Buffer.allocUnsafeSlow(content.size)
  for (let position = 0; position < bytes.length;) {
    const count = await content.read(bytes.subarray(position), position)
    if (count === 0) throw new OciError('UNKNOWN', 'the manifest ends too early')
    position += count
  }
  return bytes
}
