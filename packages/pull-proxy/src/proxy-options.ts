import type { UpstreamTimeouts } from './upstream/http-exchange.ts'

/** Where to listen. */
export interface ListenAddress {
  readonly host: string
  /** 0 takes any free port. */
  readonly port: number
}

export interface UpstreamOptions {
  /** The name by which clients ask for it, such as `docker.io`. */
  readonly name: string
  readonly url: URL
}

export interface LockServerOptions {
  readonly url: string
  readonly token?: string | undefined
  /** How long a node's session outlives its last renewal, in milliseconds. Default 10,000. */
  readonly sessionTtlMs?: number | undefined
  /** How long the lock server may take to answer before a pull goes on without it, in milliseconds. Default 2,000. */
  readonly lockTimeoutMs?: number | undefined
}

/** What a pull proxy needs to run. */
export interface ProxyOptions {
  /** What other nodes and people call this one. */
  readonly node: string
  readonly listen: ListenAddress
  /** The store's folder. */
  readonly store: string
  readonly upstreams: readonly UpstreamOptions[]
  readonly defaultUpstream?: string | undefined
  /** Without it every flight is granted: a pull-through cache for one node. */
  readonly lockServer?: LockServerOptions | undefined
  readonly peerListen: ListenAddress
  /** The URL by which other nodes reach the peer API. Default: where it listens. */
  readonly peerAdvertise?: string | undefined
  /** Shared by the nodes of a cluster, wanted by the peer API. */
  readonly clusterToken?: string | undefined
  readonly adminListen?: ListenAddress | undefined
  /** How long a tag's digest is taken as known, in milliseconds. Default 10,000. */
  readonly tagTtlMs?: number | undefined
  readonly timeouts?: Partial<UpstreamTimeouts> | undefined
  /** How long readers may take to finish when the proxy stops, in milliseconds. Default 30,000. */
  readonly drainMs?: number | undefined
}

export const DEFAULT_TAG_TTL_MS = 10_000
export const DEFAULT_SESSION_TTL_MS = 10_000
export const DEFAULT_LOCK_TIMEOUT_MS = 2_000
export const DEFAULT_DRAIN_MS = 30_000
