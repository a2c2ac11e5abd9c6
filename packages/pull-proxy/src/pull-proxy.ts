import { join } from 'node:path'
import type { FastifyBaseLogger } from 'fastify'
import { AccessGate } from './access/access-gate.ts'
import type { ContentStore } from './content/content-store.ts'
import { DiskContentStore } from './content/disk-content-store.ts'
import type { Coordinator } from './coordination/coordinator.ts'
import { LockCoordinator } from './coordination/lock-coordinator.ts'
import { SoloCoordinator } from './coordination/solo-coordinator.ts'
import { BlobFetcher } from './flight/blob-fetcher.ts'
import { Flights } from './flight/flights.ts'
import { pause } from './pause.ts'
import { BlobHandler } from './http/blob-handler.ts'
import { ClientFace } from './http/client-face.ts'
import { drainServers, listenOn } from './http/listen.ts'
import { ListHandler } from './http/list-handler.ts'
import { ManifestCache } from './http/manifest-cache.ts'
import { ManifestHandler } from './http/manifest-handler.ts'
import {
  DEFAULT_ACCESS_TTL_MS,
  DEFAULT_DRAIN_MS,
  DEFAULT_LOCK_TIMEOUT_MS,
  DEFAULT_SESSION_TTL_MS,
  DEFAULT_TAG_MAX_STALE_MS,
  type ProxyOptions,
  type ProxyTls,
} from './proxy-options.ts'
import { advertisedUrl } from './relay/advertised-url.ts'
import { createPeerApp } from './relay/peer-app.ts'
import { PeerClient } from './relay/peer-client.ts'
import { peerToken } from './relay/peer-token.ts'
import { keptSession } from './coordination/kept-session.ts'
import { createAdminApp } from './status/admin-app.ts'
import { ProxyStats } from './status/proxy-stats.ts'
import { TagLedger } from './tags/tag-ledger.ts'
import { TagResolver } from './tags/tag-resolver.ts'
import { createUpstreams } from './upstream/create-upstreams.ts'

/** How long another node may take to connect, and be silent, in milliseconds. */
const PEER_CONNECT_TIMEOUT_MS = 2_000
const PEER_IDLE_TIMEOUT_MS = 15_000

/** Where the parts of a proxy listen, as URLs. */
export interface ProxyUrls {
  readonly proxy: string
  readonly peer: string
  readonly admin: string | undefined
}

/** A pull proxy that listens. Dispose it to drain and stop it. */
export class PullProxy implements AsyncDisposable {
  readonly urls: ProxyUrls
  readonly #face: ClientFace
  readonly #stop: () => Promise<void>
  #stopped: Promise<void> | undefined

  private constructor(urls: ProxyUrls, face: ClientFace, stop: () => Promise<void>) {
    this.urls = urls
    this.#face = face
    this.#stop = stop
  }

  /**
   * Opens the store, meets the lock server, and listens.
   *
   * @throws when the store or an address cannot be had
   * @throws {TypeError} when a cluster needs a `clusterToken`
   */
  static async start(options: ProxyOptions, logger: FastifyBaseLogger): Promise<PullProxy> {
    const { node } = options
    const token = peerToken(options)
    await using parts = new AsyncDisposableStack()
    const draining = new AbortController()
    const stopping = new AbortController()
    const { signal } = stopping
    const stats = new ProxyStats(options.upstreams.map(({ name }) => name))
    const store = parts.use(await DiskContentStore.open(options.store))

    // The session names the peer API's address, so that listens first; its requests wait for what it serves from.
    const served = Promise.withResolvers<Flights>()
    const peerApp = createPeerApp({ flights: served.promise, stats, logger, token })
    parts.defer(() => peerApp.close())
    const peer = await listenOn(peerApp, options.peerListen, 'peerListen')
    const coordinator = parts.use(
      await createCoordinator(options, options.peerAdvertise ?? advertisedUrl(peer), store, logger),
    )
    const upstreams = parts.use(createUpstreams(options, { stats, coordinator }))
    const peers = parts.use(
      new PeerClient({ token, connectTimeoutMs: PEER_CONNECT_TIMEOUT_MS, idleTimeoutMs: PEER_IDLE_TIMEOUT_MS }),
    )
    const flights = new Flights(store, new BlobFetcher({ coordinator, peers, stats, logger, signal }), logger)
    served.resolve(flights)

    const ledger = await TagLedger.open(join(options.store, 'tags'), oldestTagMs(options))
    const tags = new TagResolver({ coordinator, ledger, logger, signal })
    const gate = new AccessGate({
      accessTtlMs: options.accessTtlMs ?? DEFAULT_ACCESS_TTL_MS,
      signal,
    })
    const cache = new ManifestCache()
    const face = new ClientFace(options, {
      upstreams,
      blobs: new BlobHandler({ flights, gate, cache, stats }),
      manifests: new ManifestHandler({ flights, tags, gate, cache, stats }),
      lists: new ListHandler(signal),
      logger,
    })
    const pullApp = face.app
    parts.defer(() => pullApp.close())
    const proxy = await listenOn(pullApp, options.listen, 'listen')
    const isReady = () => !draining.signal.aborted
    const adminApp = createAdminApp({ node, stats, flights, store, coordinator, logger, isReady })
    parts.defer(() => adminApp.close())
    const admin =
      options.adminListen === undefined ? undefined : await listenOn(adminApp, options.adminListen, 'adminListen')

    const running = parts.move()
    return new PullProxy({ proxy, peer, admin }, face, async () => {
      draining.abort()
      const untilMs = performance.now() + (options.drainMs ?? DEFAULT_DRAIN_MS)
      const leftMs = () => Math.max(0, untilMs - performance.now())
      await drainServers([pullApp], leftMs())
      // Other nodes are still sent to this one for what it fetches; only then is there nothing more to say.
      await Promise.race([flights.idle(), pause(leftMs(), signal)])
      await drainServers([peerApp], leftMs())
      stopping.abort(new Error('the proxy stops'))
      await flights.idle()
      for (const { server } of [pullApp, peerApp, adminApp]) server.closeAllConnections()
      await running.disposeAsync()
    })
  }

  /**
   * Shows clients another certificate, and lets in whom other ones have signed, from the next connection on.
   *
   * @throws when certificate and key do not belong together, or when it was started without TLS or without `clientCa`,
   *   which cannot be added later
   */
  replaceTls(tls: ProxyTls): void {
    this.#face.replaceTls(tls)
  }

  /**
   * Lets in only these users, from the next request on. Lines of an htpasswd file.
   *
   * @throws {RangeError} naming the line, never what is in it; `TypeError` when it was started without users
   */
  replaceUsers(lines: readonly string[]): void {
    this.#face.replaceUsers(lines)
  }

  /** Takes no new work, lets readers finish for a while, hands back leases, and closes the session. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped ??= this.#stop()
    await this.#stopped
  }
}

/** The longest time that any upstream's tags may be served without asking it, in milliseconds; pinned ones have no end. */
function oldestTagMs({ upstreams, tagMaxStaleMs = DEFAULT_TAG_MAX_STALE_MS }: ProxyOptions): number {
  if (upstreams.some(({ tags }) => tags?.policy === 'pin')) return Infinity
  return Math.max(...upstreams.map(({ tags }) => tags?.maxStaleMs ?? tagMaxStaleMs))
}

async function createCoordinator(
  { node, lockServer, store: folder }: ProxyOptions,
  endpoint: string,
  store: ContentStore,
  logger: FastifyBaseLogger,
): Promise<Coordinator> {
  if (lockServer === undefined) return new SoloCoordinator()
  const kept = await keptSession(folder)
  const coordinator = new LockCoordinator({
    url: lockServer.url,
    token: lockServer.token,
    sessionTtlMs: lockServer.sessionTtlMs ?? DEFAULT_SESSION_TTL_MS,
    lockTimeoutMs: lockServer.lockTimeoutMs ?? DEFAULT_LOCK_TIMEOUT_MS,
    node,
    endpoint,
    resume: kept.id,
    onSession: kept.keep,
    contents: () => store.ids(),
    logger,
  })
  await coordinator.connect()
  return coordinator
}
