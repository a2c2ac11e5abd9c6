import { DEFAULT_TAG_MAX_STALE_MS, DEFAULT_TAG_TTL_MS, type ProxyOptions } from '../proxy-options.ts'
import { isDomain } from '../oci/content-id.ts'
import type { ProxyStats } from '../status/proxy-stats.ts'
import { createClusterLimits, type LimitsCoordinator } from './cluster-limits.ts'
import { createCredentialSource } from './credentials/create-credential-source.ts'
import { DEFAULT_UPSTREAM_TIMEOUTS } from './http-exchange.ts'
import { RegistryClient } from './registry-client.ts'
import { ANY_UPSTREAM, type CredentialOptions, type UpstreamOptions } from './upstream-options.ts'
import { Upstreams } from './upstreams.ts'

const DEFAULT_RETRIES = 3
const DEFAULT_CONCURRENCY = 16
const DEFAULT_CLUSTER_CONCURRENCY = 64

export interface UpstreamsContext {
  readonly stats: ProxyStats
  /** Shares what the upstreams bear with the other nodes. */
  readonly coordinator: LimitsCoordinator
}

/** Credentials that belong to one registry: clients of `*` name any host, and it would get them. */
const OF_ONE_REGISTRY: readonly string[] = [
  'password',
  'passwordFile',
  'tokenFile',
] satisfies CredentialOptions['kind'][]

/**
 * Makes the clients of all configured upstreams.
 *
 * @throws {TypeError} for one without a URL, and for a `*` with what only one registry can have
 */
export function createUpstreams(options: ProxyOptions, context: UpstreamsContext): Upstreams {
  for (const upstream of options.upstreams) checkUpstream(upstream)
  const create = (upstream: UpstreamOptions, name: string, url: URL) =>
    createClient(options, { upstream, name, url }, context)
  const any = options.upstreams.find(({ name }) => name === ANY_UPSTREAM)
  const named = options.upstreams.flatMap((upstream) =>
    upstream.url === undefined ? [] : [create(upstream, upstream.name, upstream.url)],
  )
  return new Upstreams(named, {
    defaultName: options.defaultUpstream,
    any: any === undefined ? undefined : { create: (name, url) => create(any, name, url) },
  })
}

function checkUpstream({ name, url, credentials, auth }: UpstreamOptions): void {
  if (name !== ANY_UPSTREAM) {
    if (auth === 'passthrough' && !isDomain(name)) {
      throw new TypeError(
        `upstreams: ${JSON.stringify(name)}: is not a registry's host in lower case, with or without a port`,
      )
    }
    if (url === undefined) throw new TypeError(`upstreams: ${name}: has no url`)
    return
  }
  if (url !== undefined) throw new TypeError(`upstreams: ${name}: url: must be left out, for clients name the host`)
  if (credentials !== undefined && OF_ONE_REGISTRY.includes(credentials.kind)) {
    throw new TypeError(`upstreams: ${name}: credentials: a ${credentials.kind} would go to any host that is asked for`)
  }
}

function createClient(
  { timeouts, tagTtlMs = DEFAULT_TAG_TTL_MS, tagMaxStaleMs = DEFAULT_TAG_MAX_STALE_MS }: ProxyOptions,
  { upstream, name, url }: { readonly upstream: UpstreamOptions; readonly name: string; readonly url: URL },
  { stats, coordinator }: UpstreamsContext,
): RegistryClient {
  const { credentials, tags = {}, clusterConcurrency = DEFAULT_CLUSTER_CONCURRENCY } = upstream
  return new RegistryClient({
    name,
    url,
    passthrough: upstream.auth === 'passthrough',
    credentials: credentials === undefined ? undefined : createCredentialSource(credentials, name, url.host),
    trustedRealms: upstream.trustedRealms,
    tls: upstream.tls,
    publicOnly: upstream.name === ANY_UPSTREAM,
    timeouts: { ...DEFAULT_UPSTREAM_TIMEOUTS, ...timeouts, ...upstream.timeouts },
    retries: upstream.retries ?? DEFAULT_RETRIES,
    concurrency: upstream.concurrency ?? DEFAULT_CONCURRENCY,
    limits: createClusterLimits(coordinator, name, clusterConcurrency),
    tags: {
      policy: tags.policy ?? 'ttl',
      ttlMs: tags.ttlMs ?? tagTtlMs,
      maxStaleMs: tags.maxStaleMs ?? tagMaxStaleMs,
    },
    stats,
  })
}
