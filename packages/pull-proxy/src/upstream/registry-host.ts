import { isPublicName } from './public-address.ts'

/** A label of a host name (RFC 1123, 2.1), in lower case. */
const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?'
/** Its last label has a letter first: so it is no address in any notation, not `127.1`, not `0x7f.1`. */
const HOST = new RegExp(`^(?:${LABEL}\\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])(?::[1-9]\\d{0,4})?$`)
const MAX_HOST_LENGTH = 253

/** Other names under which Docker Hub is known to its clients. */
const DOCKER_HUB_ALIASES: ReadonlySet<string> = new Set(['index.docker.io', 'registry-1.docker.io'])

/** One spelling for all by which a registry can be called: lower case, no port 443, `docker.io` for Docker Hub. */
export function canonicalHost(text: string): string {
  // Letters of ASCII only: others become some of these, such as the Kelvin sign a k.
  const host = text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase()).replace(/^([^:]+):443$/, '$1')
  return DOCKER_HUB_ALIASES.has(host) ? 'docker.io' : host
}

/** Where the registry of a canonical host is; undefined for what is no public host name, with or without a port. */
export function publicRegistryUrl(host: string): URL | undefined {
  if (host.length > MAX_HOST_LENGTH || !HOST.test(host)) return undefined
  const url = URL.parse(`https://${host === 'docker.io' ? 'registry-1.docker.io' : host}`)
  return url !== null && isPublicName(url.hostname) ? url : undefined
}

/** Whether a reference's first path segment stands for a host, by the rule that Docker's references keep to. */
export function isHostSegment(segment: string): boolean {
  return /[.:]/.test(segment) || segment === 'localhost'
}
