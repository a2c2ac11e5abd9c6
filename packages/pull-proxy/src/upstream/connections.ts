import type { LookupFunction } from 'node:net'
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls'
import { Agent, type buildConnector, type Dispatcher, Pool, ProxyAgent } from 'undici'
import { EnvironmentProxy, type Environment } from './environment-proxy.ts'
import type { UpstreamTls } from './upstream-options.ts'

export interface ConnectionsOptions {
  /** Until a connection stands, its TLS and a proxy's tunnel included, in milliseconds. */
  readonly connectMs: number
  readonly tls?: UpstreamTls | undefined
  /** Where proxies are named. */
  readonly environment: Environment
  /** How names become addresses, where no proxy does that. Default: as the system does it. */
  readonly lookup?: LookupFunction | undefined
}

/** Registries may ask to keep a connection for hours; there can be many of them. */
const MAX_KEEP_ALIVE_MS = 60_000

/** What a request is sent by. */
export interface Connection {
  readonly dispatcher: Dispatcher
  /** The proxy in between. */
  readonly proxy: URL | undefined
}

/**
 * The connections to one upstream and to what it redirects to, direct or by the environment's proxies: https through a
 * tunnel (`CONNECT`), plain http by the proxy's own request.
 *
 * HTTP/1.1 only, as containerd does: in HTTP/2 the layers of an image would share one TCP connection and its window.
 */
export class Connections implements AsyncDisposable {
  readonly #direct: Agent
  readonly #byProxy = new Map<string, ProxyAgent>()
  readonly #environment: EnvironmentProxy
  readonly #connectMs: number
  readonly #tls: buildConnector.BuildOptions

  /** @throws {Error} for certificates that are none, and for a proxy in the environment that cannot be used */
  constructor({ connectMs, tls, environment, lookup }: ConnectionsOptions) {
    this.#connectMs = connectMs
    this.#environment = new EnvironmentProxy(environment)
    // Made once: to read the root certificates for each connection would cost more than its handshake.
    const secureContext = createContext(tls)
    const connect = { timeout: connectMs, allowH2: false }
    this.#tls = {
      ...connect,
      rejectUnauthorized: tls?.insecure !== true,
      ...(secureContext === undefined ? {} : { secureContext }),
    }
    this.#direct = new Agent({
      keepAliveMaxTimeout: MAX_KEEP_ALIVE_MS,
      connect: lookup === undefined ? this.#tls : { ...this.#tls, lookup },
    })
  }

  for(url: URL): Connection {
    const proxy = this.#environment.for(url)
    return { proxy, dispatcher: proxy === undefined ? this.#direct : this.#proxyAgent(proxy) }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#direct, ...this.#byProxy.values()].map((agent) => agent.destroy()))
  }

  #proxyAgent(proxy: URL): ProxyAgent {
    let agent = this.#byProxy.get(proxy.href)
    if (agent === undefined) {
      const connectMs = this.#connectMs
      agent = new ProxyAgent({
        uri: proxy.href,
        keepAliveMaxTimeout: MAX_KEEP_ALIVE_MS,
        connectTimeout: connectMs,
        requestTls: this.#tls,
        // What is said of the upstream's certificates, `insecure` above all, does not hold for the proxy.
        proxyTls: { timeout: connectMs, allowH2: false },
        // A proxy that takes the connection and never answers `CONNECT` is no connection.
        clientFactory: (origin, options) => new Pool(origin, { ...options, headersTimeout: connectMs }),
      })
      this.#byProxy.set(proxy.href, agent)
    }
    return agent
  }
}

/** undefined: Node's own, which is shared. */
function createContext({ ca, cert, key }: UpstreamTls = {}): SecureContext | undefined {
  if (ca === undefined && cert === undefined && key === undefined) return undefined
  return createSecureContext({
    ...(ca === undefined ? {} : { ca: [...getCACertificates('default'), ca] }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  })
}
