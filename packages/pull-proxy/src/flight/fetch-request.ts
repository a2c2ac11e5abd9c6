import type { ContentKind } from '../upstream/registry-client.ts'
import type { Target } from '../upstream/upstreams.ts'

/** What is fetched, and through which repository. */
export interface FetchRequest extends Target {
  readonly kind: ContentKind
  /** The size that a manifest gives; a hint, for where upstream gives none. */
  readonly knownSize?: number | undefined
}

/** Requests that share their failures: what one repository's credentials may not read says nothing about another's. */
export function groupOf({ upstream, repository, kind, visitor }: FetchRequest): string {
  const group = `${upstream.name}/${repository}#${kind}`
  return visitor === undefined ? group : `${group}@${visitor.id}`
}
