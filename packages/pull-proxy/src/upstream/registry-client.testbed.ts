import { ProxyStats } from '../status/proxy-stats.ts'
import { RegistryClient } from './registry-client.ts'

/** A client of a registry that listens here, with short time limits. */
export function createRegistryClient(
  url: string,
  { name = 'docker.io', stats = new ProxyStats() } = {},
): RegistryClient {
  const timeouts = { connectMs: 2_000, headersMs: 3_000, idleMs: 3_000 }
  return new RegistryClient({ name, url: new URL(url), timeouts, stats })
}
