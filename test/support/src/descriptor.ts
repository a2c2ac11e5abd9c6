import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'

/** Which manifest media types an image has. */
export type MediaTypes = 'oci' | 'docker'

/** A descriptor of the OCI image-spec. */
export interface Descriptor {
  readonly mediaType: string
  readonly digest: string
  /** Bytes. */
  readonly size: number
  readonly platform?: { readonly architecture: string; readonly os: string }
}

/** The media types by what they stand for. */
export const mediaTypesOf: Readonly<
  Record<MediaTypes, { index: string; manifest: string; config: string; layer: string; gzipLayer: string }>
> = {
  oci: {
    index: 'application/vnd.oci.image.index.v1+json',
    manifest: 'application/vnd.oci.image.manifest.v1+json',
    config: 'application/vnd.oci.image.config.v1+json',
    layer: 'application/vnd.oci.image.layer.v1.tar',
    gzipLayer: 'application/vnd.oci.image.layer.v1.tar+gzip',
  },
  docker: {
    index: 'application/vnd.docker.distribution.manifest.list.v2+json',
    manifest: 'application/vnd.docker.distribution.manifest.v2+json',
    config: 'application/vnd.docker.container.image.v1+json',
    layer: 'application/vnd.docker.image.rootfs.diff.tar',
    gzipLayer: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
  },
}

/** The digest of bytes in memory. */
export function digestOf(bytes: Uint8Array | string): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

/** The digest of a file, read as a stream. */
export async function digestOfFile(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) hash.update(chunk as Buffer)
  return `sha256:${hash.digest('hex')}`
}

/** The digest's hexadecimal part, which is its file's name in every store. */
export function hexOf(digest: string): string {
  return digest.slice(digest.indexOf(':') + 1)
}
