import { OciError } from './oci-error.ts'

/** What a request asks for. `name` may still begin with an upstream's name. */
export type DistributionPath =
  | { readonly kind: 'base' }
  | { readonly kind: 'manifests' | 'blobs' | 'referrers'; readonly name: string; readonly reference: string }
  | { readonly kind: 'tags'; readonly name: string }

/**
 * Reads a path of the distribution-spec. The name may hold slashes, so the path is read from its end.
 *
 * @param path percent-encoded, without the query string
 * @throws {OciError} `NAME_INVALID` for a path that is not one of them
 */
export function parseDistributionPath(path: string): DistributionPath {
  const decoded = decode(path)
  if (/^\/v2\/?$/.test(decoded)) return { kind: 'base' }
  const tags = /^\/v2\/(.+)\/tags\/list$/.exec(decoded)
  if (tags !== null) return { kind: 'tags', name: tags[1]! }
  const match = /^\/v2\/(.+)\/(manifests|blobs|referrers)\/([^/]+)$/.exec(decoded)
  if (match === null) throw new OciError('NAME_INVALID', `${JSON.stringify(decoded.slice(0, 300))} is no pull request`)
  const [, name, kind, reference] = match as unknown as [string, string, 'manifests' | 'blobs' | 'referrers', string]
  return { kind, name, reference }
}

function decode(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch (cause) {
    throw new OciError('NAME_INVALID', 'the path is not percent-encoded correctly', { cause })
  }
}
