import { setTimeout as sleep } from 'node:timers/promises'

import { waitFor } from '@layerlock/test-support'

import type { DemoNode } from './demo-cluster.ts'
import type { LayerRequest } from './demo-upstream.ts'
import type { LayerBoard, LayerTrack } from './layer-board.ts'
import { formatBytes } from './quantity.ts'
import type { PullResult } from './shared-pull.ts'
import { boardOf, delayMs, describeImage, type Stage } from './stage.ts'
import type { View } from './view.ts'

/** What came out of the act in which a node is killed. */
export interface KillResult extends PullResult {
  readonly victim: string
  readonly survivor: string
  /** All requests to the registry for the layer. */
  readonly requests: readonly LayerRequest[]
}

/** Longer than the layer takes. */
const halfTimeoutMs = 30_000

/** Act 4: the node that fetches is killed in the middle of a layer, and the other one finishes it. Undefined if skipped. */
export async function playKill(stage: Stage, nodes: readonly [DemoNode, DemoNode]): Promise<KillResult | undefined> {
  const { upstream } = stage
  const { largeImage: image } = upstream
  const [victim, survivor] = nodes
  const title = 'The node that fetches is killed'
  if (image === undefined) {
    stage.announce(title, 'Skipped: this act needs the slow registry that the demo starts without --upstream.')
    return undefined
  }
  const before = await stage.traffic()
  stage.announce(
    title,
    `Both pull ${describeImage(image)}.`,
    `At half of it, the proxy of ${victim.name} gets a SIGKILL.`,
    `Look at ${survivor.name}: it keeps what it has, and fetches only the rest.`,
  )
  const board = boardOf(image, nodes)
  await stage.watch(board, nodes, async (signal) => {
    const victimPull = victim.puller.pull(image, board, signal).catch((error: unknown) => {
      // From a dead proxy nobody expects the image.
      if (trackOf(victim, board).state !== 'lost') throw error
    })
    const follow = async (): Promise<void> => {
      await sleep(delayMs, undefined, { signal })
      // On a busy machine the first one may need longer.
      await waitFor(() => trackOf(victim, board).state === 'fetching', { what: `${victim.name} to fetch`, signal })
      await survivor.puller.pull(image, board, signal)
    }
    await Promise.all([victimPull, follow(), killAtHalf(nodes, board, stage.view, signal)])
  })

  const after = await stage.traffic()
  return {
    image,
    boards: [board],
    sentBytes: after.bytes - before.bytes,
    victim: victim.name,
    survivor: survivor.name,
    requests: upstream.layerRequests(image.layers[0]!.digest) ?? [],
  }
}

async function killAtHalf(
  [victim, survivor]: readonly [DemoNode, DemoNode],
  board: LayerBoard,
  view: View,
  signal: AbortSignal,
): Promise<void> {
  const ofSurvivor = trackOf(survivor, board)
  const isHalf = (): boolean => ofSurvivor.doneBytes >= ofSurvivor.layer.size / 2
  await waitFor(isHalf, { what: `half of the layer on ${survivor.name}`, timeoutMs: halfTimeoutMs, signal })
  view.tell(board, `${victim.name} is killed; ${survivor.name} has ${formatBytes(ofSurvivor.doneBytes)}`)
  board.lost(victim.name)
  victim.proxy.kill('SIGKILL')
  await victim.proxy.exited
}

/** Of the only layer. */
function trackOf({ name }: DemoNode, board: LayerBoard): LayerTrack {
  return board.tracks.find(({ node }) => node === name)!
}
