import { lookup } from 'node:dns/promises'
import type { AddressInfo } from 'node:net'
import type { FastifyBaseLogger } from 'fastify'
import type { MachineSettings } from './core/context.ts'
import { type ApiApp, createApiApp } from './http/api-app.ts'
import { type AccessToken, BearerTokens } from './http/bearer-tokens.ts'
import { Drain } from './http/drain.ts'
import { registerRoutes } from './http/register-routes.ts'
import { replaceIdentity, type TlsIdentity } from './http/tls-identity.ts'
import type { LegacyApiOptions } from './legacy/legacy-locks.ts'
import { registerLegacyRoutes } from './legacy/legacy-routes.ts'
import { type Clock, systemClock } from './service/clock.ts'
import { LockService } from './service/lock-service.ts'
import type { ServiceLimits } from './service/service-limits.ts'
import type { LockStore } from './store/lock-store.ts'

export interface LockServerOptions {
  /** An address, or a name, of which the first address counts. */
  readonly host: string
  /** 0 takes any free port. */
  readonly port: number
  /** Owned by the server from here on: it is closed with it. */
  readonly store: LockStore
  /** Bearer tokens, one of which each call must carry; a plain text is a client's. Empty: no call needs one. */
  readonly tokens?: readonly (AccessToken | string)[] | undefined
  /** With it the server speaks https, TLS 1.2 at least. Default: plain http. */
  readonly tls?: TlsIdentity | undefined
  /** The largest request body in bytes; a larger one is refused as `too_large`. Default 1 MiB. */
  readonly maxBodyBytes?: number | undefined
  /** How long a request may take to arrive, in milliseconds; how long its answer takes is another matter. Default 30 s. */
  readonly requestTimeoutMs?: number | undefined
  /** How long a client may leave an answer untaken, in milliseconds, before its connection is cut. Default 30 s. */
  readonly unreadMs?: number | undefined
  /** How long running calls may take to finish when the server stops, in milliseconds. Default 5 s. */
  readonly drainMs?: number | undefined
  readonly settings?: Partial<MachineSettings> | undefined
  readonly limits?: Partial<ServiceLimits> | undefined
  /** Serves the earlier wire form as well; durations in milliseconds. Default: not. */
  readonly legacy?: LegacyApiOptions | undefined
  /** Default: the machine's own. */
  readonly clock?: Clock | undefined
  readonly logger?: FastifyBaseLogger | undefined
}

const DEFAULT_DRAIN_MS = 5_000
/** How often connections are looked at, while the server stops, that have had their answer. */
const CLOSE_IDLE_MS = 20

interface Parts {
  readonly app: ApiApp
  readonly service: LockService
  readonly drain: Drain
  readonly tokens: BearerTokens
}

/**
 * A lock server that listens. Dispose it to drain and close: it says at once that it is not ready, takes no connection
 * any more, answers calls that are held back with what there is, ends streams, and lets running calls finish.
 */
export class LockServer implements AsyncDisposable {
  /** Where it listens, as a URL. */
  readonly url: string
  readonly #app: ApiApp
  readonly #service: LockService
  readonly #drain: Drain
  readonly #tokens: BearerTokens
  readonly #drainMs: number

  private constructor({ app, service, drain, tokens }: Parts, url: string, drainMs: number) {
    this.#app = app
    this.#service = service
    this.#drain = drain
    this.#tokens = tokens
    this.#drainMs = drainMs
    this.url = url
  }

  /** Opens the store and listens. @throws when the store cannot be opened, the address is taken, or TLS has no use for the certificate */
  static async start(options: LockServerOptions): Promise<LockServer> {
    const { host, port, store, settings, limits, clock, tls, drainMs = DEFAULT_DRAIN_MS } = options
    const service = await LockService.open({ store, settings, limits, clock })
    let app: ApiApp | undefined
    try {
      const drain = new Drain()
      app = createApiApp(options)
      const tokens = new BearerTokens((options.tokens ?? []).map(toAccessToken))
      registerRoutes(app, { service, drain, tokens, store })
      if (options.legacy !== undefined) {
        await registerLegacyRoutes(app, { ...options.legacy, service, store, clock: clock ?? systemClock })
      }
      // One address: Fastify would open a server for each that a name has, and look after the first of them only.
      const { address: listenHost } = await lookup(host)
      await app.listen({ host: listenHost, port })
      service.sessions.grace()
      const address = app.server.address() as AddressInfo
      const shownHost = address.family === 'IPv6' ? `[${address.address}]` : address.address
      const url = `${tls === undefined ? 'http' : 'https'}://${shownHost}:${address.port}`
      return new LockServer({ app, service, drain, tokens }, url, drainMs)
    } catch (error) {
      await app?.close()
      await service[Symbol.asyncDispose]()
      throw error
    }
  }

  /** Shows another certificate from the next connection on. @throws when it and its key do not belong together */
  replaceTls(identity: TlsIdentity): void {
    replaceIdentity(this.#app.server, identity)
  }

  /**
   * Lets only these tokens in from the next call on; calls and streams that were let in before go on.
   *
   * @throws {RangeError} for an empty list, which would let everybody in
   */
  replaceTokens(tokens: readonly (AccessToken | string)[]): void {
    this.#tokens.replace(tokens.map(toAccessToken))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { server } = this.#app
    this.#service.drain()
    this.#drain.begin()
    // Node closes those that are idle as it stops listening; the others become so one by one.
    const closing = setInterval(() => server.closeIdleConnections(), CLOSE_IDLE_MS)
    const cutting = setTimeout(() => server.closeAllConnections(), this.#drainMs)
    await this.#app.close()
    clearInterval(closing)
    clearTimeout(cutting)
    await this.#service[Symbol.asyncDispose]()
  }
}

function toAccessToken(token: AccessToken | string): AccessToken {
  return typeof token === 'string' ? { token, role: 'client' } : token
}
