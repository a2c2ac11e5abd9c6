// From within the package: its public entry listens on a port, and a port has no place in simulated time.
import { type ApiApp, createApiApp } from '../../../packages/lock-server/src/http/api-app.ts'
import { Drain } from '../../../packages/lock-server/src/http/drain.ts'
import { registerRoutes } from '../../../packages/lock-server/src/http/register-routes.ts'
import type { Clock } from '../../../packages/lock-server/src/service/clock.ts'
import { LockService } from '../../../packages/lock-server/src/service/lock-service.ts'
import { MemoryLockStore } from '../../../packages/lock-server/src/store/memory-lock-store.ts'

/** A request in the form in which it travels. */
export interface WireRequest {
  readonly method: 'GET' | 'POST' | 'DELETE'
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
}

export interface WireAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly text: string
}

/** Simulated time: both global timers and `performance.now()` are fake, and the server goes by them. */
const clock: Clock = {
  nowMs: () => 1_000_000 + performance.now(),
  wallMicros: () => 1_000_000_000 + Math.floor(performance.now() * 1_000),
  schedule(callback, delayMs) {
    const timer = setTimeout(callback, Math.max(0, delayMs))
    return { [Symbol.dispose]: () => clearTimeout(timer) }
  },
}

/** The whole lock server, HTTP face included, without a socket. */
export class ServerInProcess implements AsyncDisposable {
  readonly #app: ApiApp
  readonly #service: LockService

  private constructor(app: ApiApp, service: LockService) {
    this.#app = app
    this.#service = service
  }

  static async start(): Promise<ServerInProcess> {
    const service = await LockService.open({ store: new MemoryLockStore(), clock })
    const app = createApiApp({})
    registerRoutes(app, { service, drain: new Drain() })
    await app.ready()
    return new ServerInProcess(app, service)
  }

  /** Handles a request. The signal closes its connection. */
  async handle({ method, path, headers, body }: WireRequest, signal?: AbortSignal): Promise<WireAnswer> {
    const response = await this.#app.inject({
      method,
      url: path,
      headers,
      ...(body === undefined ? {} : { payload: body }),
      ...(signal === undefined ? {} : { signal }),
    })
    const retryAfter = response.headers['retry-after']
    return {
      status: response.statusCode,
      headers: {
        'content-type': response.headers['content-type'] ?? 'text/plain',
        ...(retryAfter === undefined ? {} : { 'retry-after': retryAfter }),
      },
      text: response.body,
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#app.close()
    await this.#service[Symbol.asyncDispose]()
  }
}
