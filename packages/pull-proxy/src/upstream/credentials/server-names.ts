import { getDomain } from 'tldts'

/** How Docker names its Hub in configuration files and to helpers. */
const HUB_SERVER = 'https://index.docker.io/v1/'
const HUB = 'docker.io'
const HUB_HOSTS: ReadonlySet<string> = new Set([HUB, 'index.docker.io', 'registry-1.docker.io'])

/**
 * The names under which the credentials for a registry may be filed, the best one first: the host that they are sent to,
 * and the registry's name where that is of the same domain. Not the name of another domain: `docker.io` may be the name
 * of an upstream that is a mirror elsewhere, and a mirror must not get the password for the Hub.
 */
export function serverNames(registryName: string, registryHost: string): readonly string[] {
  const host = canonicalHost(registryHost)
  const name = canonicalHost(registryName)
  return name !== host && isOfSameDomain(name, host) ? [host, name] : [host]
}

/** What a helper is asked for. */
export function helperServer(serverName: string): string {
  return serverName === HUB ? HUB_SERVER : serverName
}

/**
 * A key of a configuration file as a host, or a host and the path of a repository or of what is above it. Docker writes
 * `https://index.docker.io/v1/` or a host; older versions and other programs `https://host`, `https://host/v1/`,
 * `host/v2`; podman (containers-auth.json) also `host/namespace/repository`.
 */
export function canonicalKey(key: string): string {
  const [, scheme, host = '', path = ''] = /^(https?:\/\/)?([^/]*)\/?(.*?)\/*$/i.exec(key) ?? []
  const isApiPath = scheme !== undefined || path === 'v1' || path === 'v2'
  return isApiPath || path === '' ? canonicalHost(host) : `${canonicalHost(host)}/${path}`
}

function canonicalHost(host: string): string {
  const lower = host.toLowerCase()
  return HUB_HOSTS.has(lower) ? HUB : lower
}

function isOfSameDomain(a: string, b: string): boolean {
  const domain = getDomain(a, { allowPrivateDomains: true })
  return domain !== null && domain === getDomain(b, { allowPrivateDomains: true })
}
