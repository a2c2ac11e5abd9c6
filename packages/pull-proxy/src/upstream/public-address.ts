import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'

/** Where addresses are routed to the whole internet (IANA, "IPv6 Global Unicast Address Assignments"). */
const GLOBAL_UNICAST: [ipaddr.IPv6, number] = [ipaddr.IPv6.parse('2000::'), 3]
/** The well-known prefix of NAT64, behind which stands an IPv4 address (RFC 6052, 2.1). */
const NAT64: [ipaddr.IPv6, number] = [ipaddr.IPv6.parse('64:ff9b::'), 96]

/**
 * Names that stand for something on this machine or in this network: special-use ones (RFC 6761, 6762, 8375, 9476), and
 * those that private networks have taken (RFC 6762, appendix G).
 */
const LOCAL_TOP_LEVELS: ReadonlySet<string> = new Set(
  'alt arpa corp home internal intranet invalid lan local localdomain localhost onion private test'.split(' '),
)

/**
 * Whether an address is one of a public host: not private, loopback, link-local, shared (carrier-grade NAT), multicast,
 * documentation or otherwise special (the IANA special-purpose registries), and not an IPv6 form of such an IPv4 address.
 * Text that is no address is not public.
 */
export function isPublicAddress(text: string): boolean {
  // The library also reads the notations of inet_aton, such as `127.1`; nothing that connects gives those.
  if (isIP(text) === 0) return false
  const address = ipaddr.parse(text)
  if (address instanceof ipaddr.IPv6) {
    // With DNS64 every IPv4 host has such an address, so these are judged by what is inside.
    if (address.match(NAT64)) return isPublicAddress(address.toByteArray().slice(12).join('.'))
    return address.match(GLOBAL_UNICAST) && address.range() === 'unicast'
  }
  return address.range() === 'unicast'
}

/** Whether a host name may be one of the internet's: not a single label, not a name that is only known locally. */
export function isPublicName(hostname: string): boolean {
  const labels = hostname.toLowerCase().replace(/\.$/, '').split('.')
  return labels.length > 1 && !LOCAL_TOP_LEVELS.has(labels.at(-1)!)
}
