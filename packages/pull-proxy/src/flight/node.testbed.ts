import { join } from 'node:path'
import { DiskContentStore } from '../content/disk-content-store.ts'
import type { Coordinator } from '../coordination/coordinator.ts'
import { SoloCoordinator } from '../coordination/solo-coordinator.ts'
import { listenOn } from '../http/listen.ts'
import { createPeerApp } from '../relay/peer-app.ts'
import type { Peer } from '../relay/peer.ts'
import { PeerClient } from '../relay/peer-client.ts'
import { ProxyStats } from '../status/proxy-stats.ts'
import { createTestLogger, type TestLogger } from '../test-logger.testbed.ts'
import { BlobFetcher } from './blob-fetcher.ts'
import { Flights } from './flights.ts'

export interface NodeOptions {
  readonly name: string
  readonly folder: string
  /** Default: it may always lead. */
  readonly coordinator?: Coordinator | undefined
  readonly token?: string | undefined
}

/** What a node has without the faces towards clients: a store, flights, and the peer API. */
export interface TestNode extends AsyncDisposable {
  readonly store: DiskContentStore
  readonly flights: Flights
  readonly peers: PeerClient
  readonly stats: ProxyStats
  readonly logger: TestLogger
  /** How others reach it. */
  readonly peer: Peer
  /** Ends all flights. */
  stop(): Promise<void>
}

export async function startNode({ name, folder, coordinator, token }: NodeOptions): Promise<TestNode> {
  const stopping = new AbortController()
  const stats = new ProxyStats()
  const logger = createTestLogger()
  const store = await DiskContentStore.open(join(folder, name))
  const peers = new PeerClient({ token, connectTimeoutMs: 2_000, idleTimeoutMs: 5_000 })
  const { signal } = stopping
  const fetcher = new BlobFetcher({ coordinator: coordinator ?? new SoloCoordinator(), peers, stats, logger, signal })
  const flights = new Flights(store, fetcher, logger)
  const app = createPeerApp({ flights: Promise.resolve(flights), stats, logger, token })
  const endpoint = await listenOn(app, { host: '127.0.0.1', port: 0 }, 'peerListen')
  const stop = async () => {
    stopping.abort(new Error('the node stops'))
    await flights.idle()
  }
  return {
    store,
    flights,
    peers,
    stats,
    logger,
    peer: { node: name, endpoint },
    stop,
    async [Symbol.asyncDispose]() {
      await stop()
      app.server.closeAllConnections()
      await app.close()
      await peers[Symbol.asyncDispose]()
      await store[Symbol.asyncDispose]()
    },
  }
}
