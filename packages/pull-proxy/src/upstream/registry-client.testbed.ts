import { ProxyStats } from '../status/proxy-stats.ts'
import { NO_PLACE } from './request-gate.ts'
import { RegistryClient, type RegistryClientOptions } from './registry-client.ts'

/** A client of a registry that listens here, with short time limits. */
export function createRegistryClient(
  url: string,
  { name = 'docker.io', stats = new ProxyStats(), ...options }: Partial<RegistryClientOptions> = {},
): RegistryClient {
  return new RegistryClient({
    name,
    url: new URL(url),
    passthrough: false,
    timeouts: { connectMs: 2_000, headersMs: 3_000, idleMs: 3_000 },
    retries: 3,
    concurrency: 16,
    limits: {
      takePlace: () => Promise.resolve(NO_PLACE),
      pauses: { tell: () => Promise.resolve(), ask: () => Promise.resolve(undefined) },
    },
    tags: { policy: 'ttl', ttlMs: 60_000, maxStaleMs: 0 },
    stats,
    ...options,
  })
}
