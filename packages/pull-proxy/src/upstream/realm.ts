import { isIP } from 'node:net'
import { parse } from 'tldts'
import { OciError } from '../oci/oci-error.ts'

/** What decides where an upstream may send us for a token. */
export interface RealmRules {
  /** The upstream's own base URL. */
  readonly base: URL
  /** Hosts, with or without a port, that the configuration allows. */
  readonly trustedRealms: readonly string[]
  /** Whether credentials may go over plain http to other machines. */
  readonly insecure: boolean
}

/**
 * Tells why a token must not be asked for at a realm; undefined when it may be. A realm is named by the upstream, or by
 * whoever speaks in its name, so it must lead neither the credentials to a stranger nor a request into this network.
 */
export function realmRefusal(realm: URL, rules: RealmRules, withCredentials: boolean): OciError | undefined {
  const { base, trustedRealms } = rules
  if (!/^https?:$/.test(realm.protocol)) return refusal(`${base.host} names a realm that is no http URL`)
  if (base.protocol === 'https:' && realm.protocol === 'http:') {
    return refusal(`${base.host} names a realm without https: ${realm.host}`)
  }
  const unprotected = withCredentials ? plainHttpRefusal(realm, rules) : undefined
  if (unprotected !== undefined) return unprotected
  const isTrusted = (host: string) => [realm.host, realm.hostname].includes(host.toLowerCase())
  if (trustedRealms.some((host) => isTrusted(host))) return undefined
  if (nameOf(realm) === nameOf(base) || isOfSameDomain(realm, base)) return undefined
  if (!withCredentials && realm.protocol === 'https:' && isPublicName(realm)) return undefined
  const what = withCredentials ? 'its credentials are not sent there' : 'no token is asked for there'
  return refusal(`${base.host} names ${realm.host} as its realm: ${what} unless trustedRealms names that host`)
}

/** Tells why credentials must not be sent to a URL as it is; undefined when they may be. */
export function plainHttpRefusal(url: URL, { insecure }: Pick<RealmRules, 'insecure'>): OciError | undefined {
  if (insecure || url.protocol === 'https:' || isLoopback(url)) return undefined
  return refusal(`credentials are not sent to ${url.host} without https unless the upstream is marked as insecure`)
}

function refusal(message: string): OciError {
  return new OciError('UNAUTHORIZED', message)
}

/** The registrable domain by the public suffix list, private suffixes such as `github.io` included (ADR 14). */
function isOfSameDomain(realm: URL, base: URL): boolean {
  if (isLocalName(realm) || isLocalName(base)) return false
  const [one, other] = [realm, base].map((url) => parse(nameOf(url), { allowPrivateDomains: true }).domain)
  return one !== null && one === other
}

/** Whether a name is one of the internet, which an address or a name without a known suffix is not. */
function isPublicName(url: URL): boolean {
  const { isIcann, isPrivate, domain } = parse(nameOf(url), { allowPrivateDomains: true })
  return domain !== null && (isIcann === true || isPrivate === true)
}

function isLocalName(url: URL): boolean {
  const name = nameOf(url)
  return isIP(name) !== 0 || !name.includes('.') || name.endsWith('.localhost')
}

function isLoopback(url: URL): boolean {
  const name = nameOf(url)
  return name === 'localhost' || name === '::1' || (isIP(name) === 4 && name.startsWith('127.'))
}

/** The host without its port, without the brackets of IPv6, and without the dot that may end a full name. */
function nameOf({ hostname }: URL): string {
  return hostname.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '')
}
