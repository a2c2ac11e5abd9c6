/**
 * What a request asks for. `storage` is the second host to which a registry redirects blobs, `upload` everything that
 * writes.
 */
export type RequestKind = 'ping' | 'manifest' | 'blob' | 'storage' | 'tags' | 'referrers' | 'token' | 'upload' | 'other'

/** A request's path, parsed. */
export interface RequestTarget {
  readonly kind: RequestKind
  readonly repository?: string
  /** A tag or a digest. */
  readonly reference?: string
}

const routes: readonly [RequestKind, RegExp][] = [
  ['ping', /^\/v2\/?$/],
  ['upload', /^\/v2\/(?<repository>.+)\/blobs\/uploads\//],
  ['manifest', /^\/v2\/(?<repository>.+)\/manifests\/(?<reference>[^/]+)$/],
  ['blob', /^\/v2\/(?<repository>.+)\/blobs\/(?<reference>[^/]+)$/],
  ['tags', /^\/v2\/(?<repository>.+)\/tags\/list$/],
  ['referrers', /^\/v2\/(?<repository>.+)\/referrers\/(?<reference>[^/]+)$/],
  ['storage', /^\/storage\/(?<reference>[^/]+)$/],
  ['token', /^\/token$/],
]

/** Parses the path of a request of the OCI distribution API, or of this package's own token and storage end points. */
export function parseTarget(method: string, url: string): RequestTarget {
  const path = decodeURIComponent(new URL(url, 'http://localhost').pathname)
  for (const [kind, pattern] of routes) {
    const groups = pattern.exec(path)?.groups
    if (groups === undefined && !pattern.test(path)) continue
    const writes = kind !== 'token' && method !== 'GET' && method !== 'HEAD'
    return { kind: writes ? 'upload' : kind, ...groups }
  }
  return { kind: 'other' }
}

/** Whether a reference is a digest and not a tag. */
export function isDigest(reference: string | undefined): boolean {
  return reference !== undefined && /^sha256:[0-9a-f]{64}$/.test(reference)
}
