import { setTimeout as sleep } from 'node:timers/promises'

import { waitFor } from '@layerlock/test-support'

import type { DemoCluster, DemoNode } from './demo-cluster.ts'
import type { DemoUpstream, Traffic } from './demo-upstream.ts'
import type { Image } from './image.ts'
import { LayerBoard } from './layer-board.ts'
import { formatBytes } from './quantity.ts'
import { watchStatus } from './status-watch.ts'
import type { View } from './view.ts'
import { paint } from './wording.ts'

/** How much later than the first node the second one begins. */
export const delayMs = 200

/** Where the acts are played. */
export interface StageOptions {
  readonly upstream: DemoUpstream
  readonly cluster: DemoCluster
  readonly view: View
  readonly signal: AbortSignal
}

/** What the acts have in common: nodes pull, and it is shown. */
export class Stage {
  readonly upstream: DemoUpstream
  readonly cluster: DemoCluster
  readonly view: View
  readonly signal: AbortSignal
  #act = 0

  constructor({ upstream, cluster, view, signal }: StageOptions) {
    this.upstream = upstream
    this.cluster = cluster
    this.view = view
    this.signal = signal
  }

  /** Begins an act. The lines say what to look at. */
  announce(title: string, ...lines: readonly string[]): void {
    this.signal.throwIfAborted()
    const indented = lines.map((line) => `   ${line}\n`).join('')
    process.stdout.write(`${paint('bold', `${++this.#act}. ${title}`)}\n${indented}\n`)
  }

  /** Lets nodes pull an image, each so much later than the one before. */
  async pull(image: Image, nodes: readonly DemoNode[], betweenMs: number): Promise<LayerBoard> {
    const board = boardOf(image, nodes)
    await this.watch(board, nodes, async (signal) => {
      const pullOn = async ({ puller }: DemoNode, index: number): Promise<void> => {
        await sleep(index * betweenMs, undefined, { signal })
        await puller.pull(image, board, signal)
      }
      await Promise.all(nodes.map(pullOn))
    })
    return board
  }

  /** Shows a board, to which the proxies' status goes too, while something is done; its signal aborts when that fails. */
  async watch(
    board: LayerBoard,
    nodes: readonly DemoNode[],
    work: (signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    const over = new AbortController()
    using _shown = this.view.show(board)
    await using _watched = watchStatus(nodes, board)
    try {
      await work(AbortSignal.any([this.signal, over.signal]))
    } finally {
      over.abort()
    }
  }

  /** What the registry has sent by now, once no proxy is fetching or storing anything any more. */
  async traffic(): Promise<Traffic> {
    const { upstream, cluster, signal } = this
    const isIdle = async () => (await cluster.statuses()).every(({ inflight }) => inflight.length === 0)
    await waitFor(isIdle, { what: 'the proxies to be idle', signal })
    return upstream.traffic(() => cluster.statuses())
  }
}

/** A board for nodes that are about to pull an image. */
export function boardOf({ layers }: Image, nodes: readonly DemoNode[]): LayerBoard {
  const names = nodes.map(({ name }) => name)
  return new LayerBoard(names, layers)
}

/** What there is to pull, in a few words. */
export function describeImage({ repository, tag, layers }: Image): string {
  const size = formatBytes(layers.reduce((sum, layer) => sum + layer.size, 0))
  return `${repository}:${tag}, ${layers.length === 1 ? `one layer of ${size}` : `${layers.length} layers, ${size} in all`}`
}
