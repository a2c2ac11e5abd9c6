import type { DemoNode } from './demo-cluster.ts'
import type { Image } from './image.ts'
import type { LayerBoard } from './layer-board.ts'
import { delayMs, describeImage, type Stage } from './stage.ts'

/** What came out of the pulls of an image. */
export interface PullResult {
  readonly image: Image
  /** What every node did when it pulled the image for the first time. */
  readonly boards: readonly LayerBoard[]
  /** What the registry sent, from the first pull to the last. */
  readonly sentBytes: number
}

/** What came out of the first three acts. */
export interface SharedPullResult extends PullResult {
  readonly nodeCount: number
  /** Requests to the registry after the first two nodes had the image. */
  readonly laterRequests: number
}

/** Acts 1 to 3: two nodes at the same moment, a third one afterwards, and then all of them again. */
export async function playSharedPull(stage: Stage, nodes: readonly [DemoNode, DemoNode]): Promise<SharedPullResult> {
  const { upstream, cluster, signal } = stage
  const before = await stage.traffic()
  const [first, second] = nodes
  const image = await upstream.readImage(first.proxy.url, signal)

  stage.announce(
    'Two nodes pull the same image at the same moment',
    `${describeImage(image)}; ${second.name} begins ${delayMs} ms after ${first.name}.`,
    `Look at the bars: who asks first for a layer fetches it, and the other node streams`,
    'it from there at the same time. Both are ready together.',
  )
  const together = await stage.pull(image, nodes, delayMs)
  const afterFirst = await stage.traffic()

  stage.announce('A third node joins', 'node-c has an empty store. The others have the layers: nothing is fetched.')
  const late = await cluster.addNode('node-c')
  const afterwards = await stage.pull(image, [late], 0)
  await stage.traffic()

  stage.announce('All nodes are asked again', 'Now each proxy has the layers itself.')
  await stage.pull(image, cluster.nodes, 0)

  const after = await stage.traffic()
  return {
    image,
    boards: [together, afterwards],
    sentBytes: after.bytes - before.bytes,
    nodeCount: cluster.nodes.length,
    laterRequests: after.requests - afterFirst.requests,
  }
}
