import { join } from 'node:path'

import {
  type Containerd,
  findBinary,
  isRoot,
  type ProxyProcess,
  startContainerd,
  writeHostsFolder,
} from '@layerlock/test-support'

import type { Image } from './image.ts'
import type { LayerBoard } from './layer-board.ts'
import { UsageError } from './options.ts'
import type { Puller } from './puller.ts'

/** Of what a containerd puller is made. */
export interface ContainerdPullerOptions {
  readonly node: string
  readonly proxy: ProxyProcess
  /** The registry, as it stands in references. */
  readonly host: string
  /** For containerd's `hosts.toml`. */
  readonly folder: string
}

/** Finds out whether containerd can be started here. @throws {UsageError} that says what is missing */
export function requireContainerd(): void {
  const missing = ['containerd', 'ctr'].filter((name) => findBinary(name) === undefined)
  if (!isRoot()) missing.unshift('root')
  if (missing.length === 0) return
  throw new UsageError(
    `--containerd starts containerd daemons, for which this is missing: ${missing.join(', ')}\n` +
      '(on Debian: sudo apt-get install containerd; without --containerd the demo needs neither)',
  )
}

/** A containerd daemon of its own, which can pull from nowhere but its node's proxy. */
export class ContainerdPuller implements Puller {
  readonly #options: ContainerdPullerOptions
  readonly #containerd: Containerd
  readonly #hostsFolder: string

  private constructor(options: ContainerdPullerOptions, containerd: Containerd, hostsFolder: string) {
    this.#options = options
    this.#containerd = containerd
    this.#hostsFolder = hostsFolder
  }

  static async start(options: ContainerdPullerOptions): Promise<ContainerdPuller> {
    const { proxy, host, folder } = options
    const hostsFolder = await writeHostsFolder(join(folder, 'hosts'), { [host]: { mirrors: [proxy.url] } })
    return new ContainerdPuller(options, await startContainerd(), hostsFolder)
  }

  async pull(
    { repository, tag, manifests, config, layers }: Image,
    board: LayerBoard,
    signal: AbortSignal,
  ): Promise<void> {
    const { node, proxy, host } = this.#options
    const reference = `${host}/${repository}:${tag}`
    await this.#containerd.wipe()
    signal.throwIfAborted()

    board.begin(node)
    const before = await proxy.status()
    await this.#containerd.pull(reference, { hostsFolder: this.#hostsFolder, signal })
    const after = await proxy.status()
    board.allEnded(node, after.bytes.upstream === before.bytes.upstream ? 'skipping' : 'fetching')

    await this.#containerd.check(reference)
    const present = await this.#containerd.verifyContent()
    const absent = [...manifests, config, ...layers].filter(({ digest }) => !present.includes(digest))
    if (absent.length > 0)
      throw new Error(`containerd on ${node} lacks ${absent.map(({ digest }) => digest).join(', ')}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#containerd[Symbol.asyncDispose]()
  }
}
