/** Where bytes of content came from. */
export type ReceivedFrom = 'upstream' | 'peer'

/** What this proxy has done since it started. */
export class ProxyStats {
  readonly bytes = { upstream: 0, peer: 0, served: 0, relayed: 0 }
  readonly upstreamRequests = { blobs: 0, manifests: 0, tokens: 0 }
  readonly responses = { store: 0, inflight: 0, peer: 0, upstream: 0 }

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
}
