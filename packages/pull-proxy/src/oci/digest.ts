import { createHash, type Hash } from 'node:crypto'
import { OciError } from './oci-error.ts'

declare const digestBrand: unique symbol
/** A checked digest such as `sha256:…` in lower-case hex. Only {@link isDigest} tells one. */
export type Digest = string & { readonly [digestBrand]: true }

/** The registered algorithms (OCI image-spec, "Digests") and the length of their hex form. */
const HEX_LENGTH: Readonly<Record<string, number>> = { sha256: 64, sha512: 128 }

/** @throws {OciError} `DIGEST_INVALID` */
export function parseDigest(text: string): Digest {
  if (isDigest(text)) return text
  throw new OciError('DIGEST_INVALID', `${JSON.stringify(text.slice(0, 200))} is not a sha256 or sha512 digest`)
}

export function isDigest(text: string): text is Digest {
  const [, algorithm = '', hex = ''] = /^([a-z0-9]+):([a-f0-9]+)$/.exec(text) ?? []
  return hex.length !== 0 && HEX_LENGTH[algorithm] === hex.length
}

/** The two parts of a digest, as the OCI image layout names folders and files. */
export function digestParts(digest: Digest): { algorithm: string; hex: string } {
  const colon = digest.indexOf(':')
  return { algorithm: digest.slice(0, colon), hex: digest.slice(colon + 1) }
}

/** A hash that computes digests of this one's algorithm. */
export function createDigestHash(digest: Digest): Hash {
  return createHash(digestParts(digest).algorithm)
}

/** The sha256 digest of some bytes. */
export function digestOf(bytes: Uint8Array): Digest {
  return parseDigest(`sha256:${createHash('sha256').update(bytes).digest('hex')}`)
}
