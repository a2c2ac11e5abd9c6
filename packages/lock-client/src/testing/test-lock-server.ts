import { SESSION_HEADER, SESSION_TTL_MS } from '@layerlock/protocol'
import type { LockServer, ManualClock } from '@layerlock/server'
import { checkDuration, MAX_DURATION_MS } from '../argument-checks.ts'
import type { LockClientOptions } from '../client-options.ts'
import { LockClient } from '../lock-client.ts'
import { CuttableFetch } from './cuttable-fetch.ts'
import { loadServer } from './load-server.ts'

export interface TestLockServerOptions {
  /** Bearer tokens, one of which each call must carry. Default: no call needs one. */
  readonly tokens?: readonly string[] | undefined
}

export interface AdvanceOptions {
  /** Renews the sessions of this server's clients on the way, as their heartbeats would. Default false. */
  readonly keepSessions?: boolean | undefined
}

interface Parts {
  readonly server: LockServer
  readonly clock: ManualClock
  /** One that the server knows, if it wants any. */
  readonly token: string | undefined
}

/**
 * A lock server for tests: in this process, in memory, on a free port of the loopback, with a clock that stands still
 * until {@link advance} moves it. Needs the package `@layerlock/server`.
 *
 * Dispose it to close it, its clients first. Where timers are faked, leave `setImmediate` and `nextTick` as they are.
 *
 * @example
 * await using server = await TestLockServer.start()
 * const locks = server.client({ node: 'a' })
 * await locks.once('report', async () => 1, { retainMs: 60_000 })
 * await server.advance(60_000) // the outcome has ended
 */
export class TestLockServer implements AsyncDisposable {
  /** Where it listens: for programs that make their own client. These are not cut off by {@link goAway}. */
  readonly url: string
  readonly #parts: Parts
  readonly #line = new CuttableFetch()
  readonly #clients = new Set<LockClient>()
  readonly #sessionIds = new Map<LockClient, string>()
  #leastTtlMs: number = SESSION_TTL_MS.default

  private constructor(parts: Parts) {
    this.#parts = parts
    this.url = parts.server.url
  }

  /** @throws {Error} when `@layerlock/server` is not installed */
  static async start({ tokens }: TestLockServerOptions = {}): Promise<TestLockServer> {
    const { LockServer, ManualClock, MemoryLockStore } = await loadServer()
    const clock = new ManualClock()
    const store = new MemoryLockStore()
    return new TestLockServer({
      clock,
      token: tokens?.[0],
      server: await LockServer.start({ host: '127.0.0.1', port: 0, store, clock, tokens }),
    })
  }

  /** A client of this server, which closes it. `url` and `fetch` are the server's own. */
  client(options: Omit<LockClientOptions, 'url' | 'fetch'> = {}): LockClient {
    const onSession: LockClientOptions['onSession'] = (session) => {
      this.#sessionIds.set(locks, session.id)
      options.onSession?.(session)
    }
    const locks: LockClient = new LockClient({ ...options, url: this.url, fetch: this.#line.fetch, onSession })
    this.#clients.add(locks)
    this.#leastTtlMs = Math.min(this.#leastTtlMs, options.sessionTtlMs ?? Infinity)
    return locks
  }

  /**
   * Lets time pass at the server: outcomes and offers end, and so do sessions, whose heartbeats run by the clock of the
   * wall. Resolves when all that follows is done, and each client knows whether its session has ended.
   */
  async advance(ms: number, { keepSessions = false }: AdvanceOptions = {}): Promise<void> {
    checkDuration('ms', ms, 0, MAX_DURATION_MS)
    const { clock } = this.#parts
    if (keepSessions) {
      const stepMs = this.#leastTtlMs / 3
      for (let passedMs = 0; passedMs < ms; passedMs += stepMs) {
        await this.#renewAll()
        await clock.pass(Math.min(stepMs, ms - passedMs))
      }
    } else {
      await clock.pass(ms)
    }
    await this.#renewAll()
  }

  /**
   * Ends the session of one client, or those of all, as if the server had not heard of them for their TTL. Resolves when
   * what they held has gone to the next in line, and the signals of their leases are aborted.
   */
  async expireSessions(...clients: readonly LockClient[]): Promise<void> {
    const ids = (clients.length === 0 ? [...this.#clients] : clients).map((client) => this.#sessionIds.get(client))
    await Promise.all(ids.filter((id) => id !== undefined).map((id) => this.#endSession(id)))
    await this.#renewAll()
  }

  /** From now on no client of this server reaches it, as in an outage; calls that wait break off. */
  goAway(): void {
    this.#line.cut()
  }

  /** Ends what {@link goAway} began. The server has kept its state; its clock did not move. */
  comeBack(): void {
    this.#line.join()
  }

  /** Answers the next calls of this server's clients, heartbeats too, with `overloaded` (503). */
  failNext(count: number): void {
    this.#line.failNext(count)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#clients].map((client) => client.close()))
    await this.#line[Symbol.asyncDispose]()
    await this.#parts.server[Symbol.asyncDispose]()
  }

  /** Lets each client learn whether its session lives. Those that cannot reach the server learn it later. */
  async #renewAll(): Promise<void> {
    await Promise.all([...this.#clients].map((client) => client.renew().catch(() => undefined)))
  }

  /** Not through the line, which may be cut. */
  async #endSession(id: string): Promise<void> {
    const around = new CuttableFetch()
    const { token } = this.#parts
    const headers = { [SESSION_HEADER]: id, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) }
    await around.fetch(`${this.url}/v1/sessions`, { method: 'DELETE', headers })
    await around[Symbol.asyncDispose]()
  }
}
