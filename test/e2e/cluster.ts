import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type LayerlockProcess,
  type ProxyProcess,
  startLockServer,
  startProxy,
  temporaryFolder,
} from '@layerlock/test-support'

export interface ClusterOptions {
  /** One proxy for each name. */
  readonly nodes: readonly string[]
  /** The registry behind `docker.io`. */
  readonly upstream: string
  /** More flags for each proxy. */
  readonly proxyArgs?: readonly string[]
}

/** A lock server and a few proxies, each a real process with a store of its own. */
export interface Cluster extends AsyncDisposable {
  readonly lockServer: LayerlockProcess
  readonly proxies: readonly ProxyProcess[]
  readonly folder: string
}

/** Starts a cluster. Everything that was started ends when it is disposed, also when starting fails half-way. */
export async function startCluster({ nodes, upstream, proxyArgs = [] }: ClusterOptions): Promise<Cluster> {
  await using parts = new AsyncDisposableStack()
  const folder = parts.use(await temporaryFolder('cluster'))
  const lockServer = parts.use(await startLockServer())
  const tokenFile = join(folder.path, 'cluster-token')
  await writeFile(tokenFile, 'the-token-of-the-cluster\n', { mode: 0o600 })
  const proxies = await Promise.all(
    nodes.map(async (node) =>
      parts.use(
        await startProxy({
          node,
          storeFolder: join(folder.path, node),
          lockServer: lockServer.url,
          upstreams: { 'docker.io': upstream },
          defaultUpstream: 'docker.io',
          args: ['--drain', '1s', '--cluster-token-file', tokenFile, ...proxyArgs],
        }),
      ),
    ),
  )
  const running = parts.move()
  return { lockServer, proxies, folder: folder.path, [Symbol.asyncDispose]: () => running.disposeAsync() }
}
