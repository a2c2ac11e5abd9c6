import type { UpstreamTimeouts } from './upstream/http-exchange.ts'
import type { UpstreamOptions } from './upstream/upstream-options.ts'

/** Where to listen. */
export interface ListenAddress {
  readonly host: string
  /** 0 takes any free port. */
  readonly port: number
}

export interface LockServerOptions {
  readonly url: string
  readonly token?: string | undefined
  /** How long a node's session outlives its last renewal, in milliseconds. Default 10,000. */
  readonly sessionTtlMs?: number | undefined
  /** How long the lock server may take to answer before a pull goes on without it, in milliseconds. Default 2,000. */
  readonly lockTimeoutMs?: number | undefined
}

/** All as PEM. */
export interface ProxyTls {
  readonly cert: string
  readonly key: string
  /** Lets in only clients with a certificate that one of these has signed. */
  readonly clientCa?: string | undefined
}

/** What a pull proxy needs to run. */
export interface ProxyOptions {
  /** What other nodes and people call this one. */
  readonly node: string
  readonly listen: ListenAddress
  /** Makes the face towards clients speak https. */
  readonly tls?: ProxyTls | undefined
  /** Who may use the proxy, as the lines of an htpasswd file (bcrypt). Default: all who reach it. */
  readonly users?: readonly string[] | undefined
  /** The store's folder. */
  readonly store: string
  readonly upstreams: readonly UpstreamOptions[]
  readonly defaultUpstream?: string | undefined
  /** Without it every flight is granted: a pull-through cache for one node. */
  readonly lockServer?: LockServerOptions | undefined
  readonly peerListen: ListenAddress
  /** The URL by which other nodes reach the peer API. Default: where it listens. */
  readonly peerAdvertise?: string | undefined
  /**
   * Shared by the nodes of a cluster, wanted by the peer API. Needed with a lock server where not everyone who reaches the
   * proxy may read all that it has: with `users`, `clientCa`, or an upstream with `passthrough`. Default: none; without a
   * lock server a random one, for no other node knows of this one.
   */
  readonly clusterToken?: string | undefined
  readonly adminListen?: ListenAddress | undefined
  /** How long a tag's digest is taken as known, in milliseconds. Default 10,000. */
  readonly tagTtlMs?: number | undefined
  /** How long the last known digest of a tag is served when upstream fails, in milliseconds. Default 24 hours. */
  readonly tagMaxStaleMs?: number | undefined
  /** How long a client that upstream has accepted for a repository is let in, in milliseconds. Default 60,000. */
  readonly accessTtlMs?: number | undefined
  readonly timeouts?: Partial<UpstreamTimeouts> | undefined
  /** How long readers may take to finish when the proxy stops, in milliseconds. Default 30,000. */
  readonly drainMs?: number | undefined
}

export const DEFAULT_TAG_TTL_MS = 10_000
export const DEFAULT_TAG_MAX_STALE_MS = 24 * 3_600_000
export const DEFAULT_ACCESS_TTL_MS = 60_000
export const DEFAULT_SESSION_TTL_MS = 10_000
export const DEFAULT_LOCK_TIMEOUT_MS = 2_000
export const DEFAULT_DRAIN_MS = 30_000
