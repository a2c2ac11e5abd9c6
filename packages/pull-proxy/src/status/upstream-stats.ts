/** What an upstream has said about how many requests it still takes (`ratelimit-…` headers). */
export interface RateLimit {
  readonly limit?: number | undefined
  readonly remaining: number
  /** The length of the time that the limit is for, in seconds. */
  readonly windowS?: number | undefined
}

/** How many upstreams are counted by name. With `*` their names come from clients, who could think of any number. */
const MAX_NAMES = 64
const OTHER = 'other'

/** What was met at the upstreams, by their names; those beyond the 64th are counted together, as `other`. */
export class UpstreamStats {
  readonly rateLimits = new Map<string, RateLimit>()
  readonly rateLimited = new Map<string, number>()
  readonly staleTags = new Map<string, number>()
  readonly #names: Set<string>

  /** @param configured have names of their own whatever clients ask for */
  constructor(configured: readonly string[] = []) {
    this.#names = new Set(configured)
  }

  /** What an upstream said last. */
  rateLimit(upstream: string, limit: RateLimit): void {
    this.rateLimits.set(this.#labelOf(upstream), limit)
  }

  /** An upstream answered 429. */
  countRateLimited(upstream: string): void {
    increase(this.rateLimited, this.#labelOf(upstream))
  }

  /** A tag was answered with what it named last, because upstream did not say what it names now. */
  countStaleTag(upstream: string): void {
    increase(this.staleTags, this.#labelOf(upstream))
  }

  #labelOf(upstream: string): string {
    if (this.#names.has(upstream)) return upstream
    if (this.#names.size >= MAX_NAMES) return OTHER
    this.#names.add(upstream)
    return upstream
  }
}

function increase(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1)
}
