import { join } from 'node:path'
import type { ProxyOptions } from './proxy-options.ts'
import { PullProxy } from './pull-proxy.ts'
import { createTestLogger, type TestLogger } from './test-logger.testbed.ts'

export interface TestProxy extends AsyncDisposable {
  /** Where clients connect. */
  readonly url: string
  readonly peerUrl: string
  readonly adminUrl: string
  /** The store's folder. */
  readonly store: string
  readonly logger: TestLogger
}

/** Starts a whole pull proxy for `docker.io`, which is at this URL, on free ports. */
export async function startTestProxy(
  { folder, upstream, node = 'node-a' }: { folder: string; upstream: string; node?: string },
  options: Partial<ProxyOptions> = {},
): Promise<TestProxy> {
  const store = join(folder, node)
  const logger = createTestLogger()
  const anyPort = { host: '127.0.0.1', port: 0 }
  const proxy = await PullProxy.start(
    {
      node,
      store,
      listen: anyPort,
      peerListen: anyPort,
      adminListen: anyPort,
      upstreams: [{ name: 'docker.io', url: new URL(upstream) }],
      defaultUpstream: 'docker.io',
      drainMs: 5_000,
      timeouts: { headersMs: 3_000, idleMs: 3_000 },
      ...options,
    },
    logger,
  )
  return {
    url: proxy.urls.proxy,
    peerUrl: proxy.urls.peer,
    adminUrl: proxy.urls.admin!,
    store,
    logger,
    [Symbol.asyncDispose]: () => proxy[Symbol.asyncDispose](),
  }
}
