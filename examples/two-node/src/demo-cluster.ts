import { join } from 'node:path'

import {
  type LayerlockProcess,
  type ProxyProcess,
  type ProxyStatus,
  startLockServer,
  startProxy,
} from '@layerlock/test-support'

import { ContainerdPuller } from './containerd-puller.ts'
import { OciPuller, type Puller } from './puller.ts'

/** A node: its proxy, and what pulls through it. */
export interface DemoNode {
  readonly name: string
  readonly proxy: ProxyProcess
  readonly puller: Puller
}

/** From where the nodes of a cluster pull, and with what. */
export interface DemoClusterOptions {
  /** For the nodes' stores. */
  readonly folder: string
  readonly upstream: { readonly host: string; readonly url: string }
  readonly containerd: boolean
}

/** A lock server and nodes, each a process of its own. */
export class DemoCluster implements AsyncDisposable {
  readonly #options: DemoClusterOptions
  readonly #lockServer: LayerlockProcess
  readonly #nodes: DemoNode[] = []

  private constructor(options: DemoClusterOptions, lockServer: LayerlockProcess) {
    this.#options = options
    this.#lockServer = lockServer
  }

  static async start(options: DemoClusterOptions): Promise<DemoCluster> {
    return new DemoCluster(options, await startLockServer())
  }

  /** The nodes that run. */
  get nodes(): readonly DemoNode[] {
    return this.#nodes.filter(({ proxy }) => proxy.exit === undefined)
  }

  /** Starts a node with an empty store. */
  async addNode(name: string): Promise<DemoNode> {
    await using stack = new AsyncDisposableStack()
    const { upstream, containerd } = this.#options
    const folder = join(this.#options.folder, name)
    const proxy = stack.use(
      await startProxy({
        node: name,
        storeFolder: join(folder, 'store'),
        lockServer: this.#lockServer.url,
        upstreams: { [upstream.host]: upstream.url },
        // Longer than the demo takes, so that the tag is looked up once.
        args: ['--tag-ttl', '10m'],
      }),
    )
    const puller = stack.use(
      containerd
        ? await ContainerdPuller.start({ node: name, proxy, host: upstream.host, folder })
        : new OciPuller(name, { url: proxy.url, namespace: upstream.host }),
    )
    const node = { name, proxy, puller }
    this.#nodes.push(node)
    stack.move()
    return node
  }

  statuses(): Promise<ProxyStatus[]> {
    return Promise.all(this.nodes.map(({ proxy }) => proxy.status()))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#nodes.map(({ puller }) => puller[Symbol.asyncDispose]()))
    await Promise.all(this.#nodes.map(({ proxy }) => proxy[Symbol.asyncDispose]()))
    await this.#lockServer[Symbol.asyncDispose]()
  }
}
