import { type Digest, isDigest } from './digest.ts'
import { OciError } from './oci-error.ts'

/** A tag or a digest. */
export type Reference =
  | { readonly kind: 'tag'; readonly tag: string }
  | { readonly kind: 'digest'; readonly digest: Digest }

/** The distribution-spec's grammar of a tag. */
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/

/** @throws {OciError} `MANIFEST_INVALID` */
export function parseReference(text: string): Reference {
  if (isDigest(text)) return { kind: 'digest', digest: text }
  if (TAG.test(text)) return { kind: 'tag', tag: text }
  throw new OciError('MANIFEST_INVALID', `${JSON.stringify(text.slice(0, 300))} is neither a tag nor a digest`)
}
