import type { ContentKind } from '../upstream/registry-client.ts'
import type { Target } from '../upstream/upstreams.ts'

/** What is fetched, and through which repository. */
export interface FetchRequest extends Target {
  readonly kind: ContentKind
}

/** Requests that share their failures: what one repository's credentials may not read says nothing about another's. */
export function groupOf({ upstream, repository, kind }: FetchRequest): string {
  return `${upstream.name}/${repository}#${kind}`
}
