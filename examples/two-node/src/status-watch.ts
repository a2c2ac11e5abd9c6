import { setTimeout as sleep } from 'node:timers/promises'

import type { DemoNode } from './demo-cluster.ts'
import type { LayerBoard } from './layer-board.ts'

const intervalMs = 40

/** Asks the proxies all the time what they are fetching, and tells the board. Until disposed. */
export function watchStatus(nodes: readonly DemoNode[], board: LayerBoard): AsyncDisposable {
  const stop = new AbortController()
  const watching = Promise.all(nodes.map((node) => watchNode(node, board, stop.signal)))
  return {
    async [Symbol.asyncDispose]() {
      stop.abort()
      await watching
    },
  }
}

async function watchNode({ name, proxy }: DemoNode, board: LayerBoard, signal: AbortSignal): Promise<void> {
  while (!signal.aborted && proxy.exit === undefined) {
    // A proxy that was killed gives no answer; everything else shows in the pull.
    const status = await proxy.status().catch(() => undefined)
    if (status !== undefined && !signal.aborted) board.observe(name, status.inflight)
    await sleep(intervalMs, undefined, { signal }).catch(() => undefined)
  }
}
