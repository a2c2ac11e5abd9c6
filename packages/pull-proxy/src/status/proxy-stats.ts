import { type RateLimit, UpstreamStats } from './upstream-stats.ts'

/** Where bytes of content came from. */
export type ReceivedFrom = 'upstream' | 'peer'

/** What this proxy has done since it started. */
export class ProxyStats {
  readonly bytes = { upstream: 0, peer: 0, served: 0, relayed: 0 }
  readonly upstreamRequests = { blobs: 0, manifests: 0, tokens: 0 }
  readonly responses = { store: 0, inflight: 0, peer: 0, upstream: 0 }
  readonly upstreams: UpstreamStats

  /** @param upstreams the names of those that are configured */
  constructor(upstreams: readonly string[] = []) {
    this.upstreams = new UpstreamStats(upstreams)
  }

  received(from: ReceivedFrom, bytes: number): void {
    this.bytes[from] += bytes
  }

  /** Bytes of bodies that went out, to clients or to peers. */
  sent(to: 'clients' | 'peers', bytes: number): void {
    if (to === 'clients') this.bytes.served += bytes
    else this.bytes.relayed += bytes
  }

  upstreamRequest(kind: 'blobs' | 'manifests' | 'tokens'): void {
    this.upstreamRequests[kind]++
  }

  /** An upstream has said how many requests it still takes. */
  rateLimit(upstream: string, limit: RateLimit): void {
    this.upstreams.rateLimit(upstream, limit)
  }

  /** An upstream answered 429. */
  rateLimited(upstream: string): void {
    this.upstreams.countRateLimited(upstream)
  }

  /** A tag was answered with what it named last, because upstream did not say what it names now. */
  staleTag(upstream: string): void {
    this.upstreams.countStaleTag(upstream)
  }
}
