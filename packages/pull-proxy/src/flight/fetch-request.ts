import type { Visitor } from '../access/visitor.ts'
import type { ContentKind } from '../upstream/registry-client.ts'
import type { Target } from '../upstream/upstreams.ts'

/** What is fetched, and through which repository. */
export interface FetchRequest extends Target {
  readonly kind: ContentKind
  /** The size that a manifest gives; a hint, for where upstream gives none. */
  readonly knownSize?: number | undefined
  /** The credentials in use were refused. Returns whether there are others to go on with. */
  readonly refused?: () => boolean
}

/** A flight's own request. Several clients may follow it, each with credentials that upstream has accepted. */
export class FlightRequest implements FetchRequest {
  readonly upstream: FetchRequest['upstream']
  readonly repository: FetchRequest['repository']
  readonly kind: ContentKind
  readonly knownSize: number | undefined
  /** With whose credentials upstream is asked: the first one is used until it is refused. */
  readonly #visitors: Visitor[]

  constructor({ upstream, repository, kind, knownSize, visitor }: FetchRequest) {
    this.upstream = upstream
    this.repository = repository
    this.kind = kind
    this.knownSize = knownSize
    this.#visitors = visitor === undefined ? [] : [visitor]
  }

  get visitor(): Visitor | undefined {
    return this.#visitors[0]
  }

  /** One more client follows the flight. */
  join({ upstream, repository, visitor }: FetchRequest): void {
    if (visitor === undefined || upstream !== this.upstream || repository !== this.repository) return
    if (this.#visitors.length >= MAX_VISITORS || this.#visitors.some(({ id }) => id === visitor.id)) return
    this.#visitors.push(visitor)
  }

  /** Tokens may end before a flight does; others' may still be good. */
  readonly refused = (): boolean => {
    if (this.#visitors.length < 2) return false
    this.#visitors.shift()
    return true
  }
}

/** As many clients' credentials as are kept for one flight. */
const MAX_VISITORS = 16

/** Requests that share their failures: what one repository's credentials may not read says nothing about another's. */
export function groupOf({ upstream, repository, kind, visitor }: FetchRequest): string {
  const group = `${upstream.name}/${repository}#${kind}`
  return visitor === undefined ? group : `${group}@${visitor.id}`
}
