import type { UpstreamTimeouts } from './http-exchange.ts'

/** The name of the upstream that stands for every public registry; see {@link UpstreamOptions.name}. */
export const ANY_UPSTREAM = '*'

/** How an upstream registry is reached, and who may read what comes from it. */
export interface UpstreamOptions {
  /**
   * The name by which clients ask for it: a registry's host, with its port if it has one, such as `docker.io`. `*` stands
   * for all hosts that no other upstream is named after; those are reached by https, and only at public addresses.
   */
  readonly name: string
  /** Its base URL. Left out only for `*`, where the host that is asked for says it. */
  readonly url?: URL | undefined
  /**
   * `proxy` (default): the proxy's own credentials serve all who reach it. `passthrough`: the client's own credentials go
   * upstream, and nothing is served to a client that upstream has not accepted.
   */
  readonly auth?: 'proxy' | 'passthrough' | undefined
  /** Not with `passthrough`. Default: none, so anonymous. */
  readonly credentials?: CredentialOptions | undefined
  /**
   * Hosts that may be given the credentials as a token realm, besides the registry's own host and those of its
   * registrable domain. Default: none.
   */
  readonly trustedRealms?: readonly string[] | undefined
  readonly tls?: UpstreamTls | undefined
  /** Overrides the proxy's own, one by one. */
  readonly timeouts?: Partial<UpstreamTimeouts> | undefined
  /** How often in a row a fetch may fail without bringing 16 KiB, before it is given up. Default 3. */
  readonly retries?: number | undefined
  /** The most bodies of blobs of this node at the same time, and as many other requests. Default 16. */
  readonly concurrency?: number | undefined
  /** The most bodies of blobs of all nodes of the cluster at the same time. Default 64. */
  readonly clusterConcurrency?: number | undefined
  readonly tags?: TagOptions | undefined
}

/** Where an upstream's credentials come from. Files are read when they are needed, so that they can be replaced. */
export type CredentialOptions =
  | { readonly kind: 'password'; readonly username: string; readonly password: string }
  | { readonly kind: 'passwordFile'; readonly username: string; readonly path: string }
  /** An identity token (OAuth2 refresh token) that is exchanged for access tokens. */
  | { readonly kind: 'tokenFile'; readonly path: string }
  /** Docker's `config.json`, with its `auths`, `credHelpers` and `credsStore`. */
  | { readonly kind: 'dockerConfig'; readonly path: string }
  /** The program `docker-credential-<name>`. */
  | { readonly kind: 'helper'; readonly name: string }

/** All as PEM. */
export interface UpstreamTls {
  /** Certificates that are trusted besides those that Node trusts anyway. */
  readonly ca?: string | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
  /** Takes any certificate, and lets credentials go over plain http. Default false. */
  readonly insecure?: boolean | undefined
}

/** {@link TagOptions} with all of them. */
export type TagPolicy = { readonly [Name in keyof TagOptions]-?: NonNullable<TagOptions[Name]> }

/** How the tags of an upstream are resolved. */
export interface TagOptions {
  /**
   * `ttl` (default): what a tag names is asked once per cluster and `ttlMs`. `always`: with each pull. `pin`: once, and
   * then taken as known until an operator forgets it.
   */
  readonly policy?: 'always' | 'ttl' | 'pin' | undefined
  /** In milliseconds. Default: the proxy's `tagTtlMs`. */
  readonly ttlMs?: number | undefined
  /** How long what a tag named last is served when upstream fails, in milliseconds. Default: the proxy's. */
  readonly maxStaleMs?: number | undefined
}
