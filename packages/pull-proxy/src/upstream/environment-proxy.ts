import { BlockList, isIP, isIPv6 } from 'node:net'

/** Environment variables. */
export type Environment = Readonly<Record<string, string | undefined>>

type Exception = (hostname: string, port: string) => boolean

/**
 * The HTTP proxies that the environment names, by the rules that containerd and other Go programs keep to:
 * `HTTPS_PROXY` for https, `HTTP_PROXY` for http, each in lower case too, which goes first; none for `localhost`, loopback
 * addresses, and what `NO_PROXY` lists: `*`, names (with those below them; with a leading dot only those), addresses,
 * networks (`10.0.0.0/8`), each but networks with a port if only that one is meant.
 *
 * @throws {Error} for a proxy that is not reached by http or https
 */
export class EnvironmentProxy {
  readonly #proxies: ReadonlyMap<string, URL>
  readonly #exceptions: readonly Exception[]

  constructor(environment: Environment) {
    const proxies = new Map<string, URL>()
    for (const scheme of ['http', 'https']) {
      const proxy = parseProxy(environment, `${scheme}_proxy`)
      if (proxy !== undefined) proxies.set(`${scheme}:`, proxy)
    }
    this.#proxies = proxies
    const exceptions = valueOf(environment, 'no_proxy') ?? ''
    this.#exceptions = exceptions.split(/[\s,]+/).flatMap((entry) => (entry === '' ? [] : [parseException(entry)]))
  }

  /** The proxy by which a URL is to be reached; undefined for none. */
  for(url: URL): URL | undefined {
    const proxy = this.#proxies.get(url.protocol)
    if (proxy === undefined) return undefined
    const hostname = plainHost(url.hostname)
    if (hostname === 'localhost' || LOOPBACK.check(hostname, isIPv6(hostname) ? 'ipv6' : 'ipv4')) return undefined
    const port = url.port === '' ? (url.protocol === 'https:' ? '443' : '80') : url.port
    return this.#exceptions.some((matches) => matches(hostname, port)) ? undefined : proxy
  }
}

const LOOPBACK = new BlockList()
LOOPBACK.addSubnet('127.0.0.0', 8)
LOOPBACK.addAddress('::1', 'ipv6')

function parseProxy(environment: Environment, name: string): URL | undefined {
  const value = valueOf(environment, name)
  if (value === undefined) return undefined
  const proxy = URL.parse(value.includes('://') ? value : `http://${value}`)
  // The value may hold a password, so it is not repeated.
  if (proxy === null || !isEncoded(proxy.username + proxy.password)) {
    throw new Error(`the environment's ${name} is not a URL`)
  }
  if (/^https?:$/.test(proxy.protocol)) return proxy
  throw new Error(`the environment's ${name} is a ${proxy.protocol} URL; only http: and https: proxies can be used`)
}

function isEncoded(text: string): boolean {
  try {
    decodeURIComponent(text)
    return true
  } catch {
    return false
  }
}

function valueOf(environment: Environment, name: string): string | undefined {
  const values = [environment[name], environment[name.toUpperCase()]]
  return values.map((value) => value?.trim()).find((value) => value !== undefined && value !== '')
}

function parseException(entry: string): Exception {
  if (entry === '*') return () => true
  const network = parseNetwork(entry)
  if (network !== undefined) {
    return (hostname) => isIP(hostname) !== 0 && network.check(hostname, isIPv6(hostname) ? 'ipv6' : 'ipv4')
  }
  const [, name, port] = isIPv6(entry) ? [entry, entry] : (/^(.+?)(?::(\d+))?$/.exec(entry) ?? [])
  const wanted = plainHost(name ?? entry).replace(/^\*\./, '.')
  const below = wanted.startsWith('.') ? wanted : `.${wanted}`
  return (hostname, at) =>
    (port === undefined || port === at) && (hostname === wanted || (isIP(hostname) === 0 && hostname.endsWith(below)))
}

function parseNetwork(entry: string): BlockList | undefined {
  const [, address, prefix] = /^([^/]+)\/(\d{1,3})$/.exec(entry) ?? []
  if (address === undefined || isIP(address) === 0 || Number(prefix) > (isIPv6(address) ? 128 : 32)) return undefined
  const network = new BlockList()
  network.addSubnet(address, Number(prefix), isIPv6(address) ? 'ipv6' : 'ipv4')
  return network
}

/** Without the brackets of an IPv6 address and the dot of a fully qualified name. */
function plainHost(hostname: string): string {
  return hostname
    .toLowerCase()
    .replace(/^\[(.+)\]$/, '$1')
    .replace(/(.)\.$/, '$1')
}
