import type { AddressInfo } from 'node:net'
import type { FastifyBaseLogger } from 'fastify'
import type { MachineSettings } from './core/context.ts'
import { type ApiApp, createApiApp } from './http/api-app.ts'
import { registerBearerTokens } from './http/bearer-tokens.ts'
import { registerErrorAnswers } from './http/error-answers.ts'
import { registerEventRoutes } from './http/event-routes.ts'
import { registerHealthRoutes } from './http/health-routes.ts'
import { registerListRoutes } from './http/list-routes.ts'
import { registerLockRoutes } from './http/lock-routes.ts'
import { registerSessionRoutes } from './http/session-routes.ts'
import { LockService } from './service/lock-service.ts'
import type { LockStore } from './store/lock-store.ts'

export interface LockServerOptions {
  readonly host: string
  /** 0 takes any free port. */
  readonly port: number
  /** Owned by the server from here on: it is closed with it. */
  readonly store: LockStore
  /** Bearer tokens, one of which each call must carry. Empty: no call needs one. */
  readonly tokens?: readonly string[] | undefined
  readonly settings?: Partial<MachineSettings> | undefined
  readonly logger?: FastifyBaseLogger | undefined
}

/** A lock server that listens. Dispose it to drain and close. */
export class LockServer implements AsyncDisposable {
  /** Where it listens, as a URL. */
  readonly url: string
  readonly #app: ApiApp
  readonly #service: LockService

  private constructor(app: ApiApp, service: LockService, url: string) {
    this.#app = app
    this.#service = service
    this.url = url
  }

  /** Opens the store and listens. @throws when the store cannot be opened or the address is taken */
  static async start({ host, port, store, tokens = [], settings, logger }: LockServerOptions): Promise<LockServer> {
    const service = await LockService.open({ store, ...(settings === undefined ? {} : { settings }) })
    const app = createApiApp({ logger })
    registerErrorAnswers(app)
    registerBearerTokens(app, tokens)
    registerHealthRoutes(app, () => true)
    registerSessionRoutes(app, service)
    registerLockRoutes(app, service)
    registerListRoutes(app, service)
    registerEventRoutes(app, service.events)
    try {
      await app.listen({ host, port })
    } catch (error) {
      await service[Symbol.asyncDispose]()
      throw error
    }
    const address = app.server.address() as AddressInfo
    const shownHost = address.family === 'IPv6' ? `[${address.address}]` : address.address
    return new LockServer(app, service, `http://${shownHost}:${address.port}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#service.drain()
    await this.#app.close()
    await this.#service[Symbol.asyncDispose]()
  }
}
