import type { FastifyInstance } from 'fastify'
import type { ProxyOptions, ProxyTls } from '../proxy-options.ts'
import { ClientAuth } from './client-auth.ts'
import { createPullApp, type PullAppOptions } from './pull-app.ts'
import { replaceServerTls } from './server-tls.ts'

/** The proxy's face towards container clients, with what of it can be replaced while it runs. */
export class ClientFace {
  readonly app: FastifyInstance
  readonly #auth: ClientAuth | undefined
  #tls: ProxyTls | undefined

  /**
   * @throws {RangeError} for a line of the users that is not right
   * @throws {TypeError} for users beside an upstream that wants the clients' own credentials: a request has one
   *   `Authorization`
   * @throws when the certificate and its key do not belong together
   */
  constructor(
    { tls, users, upstreams }: Pick<ProxyOptions, 'tls' | 'users' | 'upstreams'>,
    options: Omit<PullAppOptions, 'auth' | 'tls'>,
  ) {
    const passthrough = upstreams.find(({ auth }) => auth === 'passthrough')
    if (users !== undefined && passthrough !== undefined) {
      throw new TypeError(`users: cannot be had with auth = passthrough, which the upstream ${passthrough.name} has`)
    }
    this.#auth = users === undefined ? undefined : new ClientAuth(users)
    this.#tls = tls
    this.app = createPullApp({ ...options, auth: this.#auth, tls })
  }

  /** See `PullProxy.replaceTls`. */
  replaceTls(tls: ProxyTls): void {
    replaceServerTls(this.app.server, this.#tls, tls)
    this.#tls = tls
  }

  /** See `PullProxy.replaceUsers`. */
  replaceUsers(lines: readonly string[]): void {
    if (this.#auth === undefined) throw new TypeError('the proxy was started without users')
    this.#auth.replaceUsers(lines)
  }
}
