import { join } from 'node:path'

import { temporaryFolder } from '@layerlock/test-support'

import { requireContainerd } from './containerd-puller.ts'
import { DemoCluster } from './demo-cluster.ts'
import { realUpstream, startDemoUpstream } from './demo-upstream.ts'
import { playKill } from './kill.ts'
import type { DemoOptions } from './options.ts'
import { playSharedPull } from './shared-pull.ts'
import { Stage } from './stage.ts'
import { renderSummary } from './summary.ts'
import { type Finding, judgeKill, judgeSharedPull } from './verdict.ts'
import { createView } from './view.ts'
import { paint } from './wording.ts'

/**
 * Plays the demo from the first act to the summary, and leaves nothing behind.
 *
 * @returns what was found not to be so; nothing of that, if all is well
 * @throws Error when a pull fails or a digest is wrong
 * @throws {UsageError} when something is missing
 */
export async function playDemo(options: DemoOptions, signal: AbortSignal): Promise<Finding[]> {
  if (options.containerd) requireContainerd()
  process.stdout.write(
    `${paint('bold', 'layerlock: every image layer is pulled from the registry once per cluster')}\n`,
  )

  await using stack = new AsyncDisposableStack()
  const { path: folder } = stack.use(await temporaryFolder('demo'))
  const upstream = stack.use(
    options.upstream === undefined ? await startDemoUpstream(join(folder, 'registry')) : realUpstream(options.upstream),
  )
  signal.throwIfAborted()
  const cluster = stack.use(await DemoCluster.start({ folder, upstream, containerd: options.containerd }))
  signal.throwIfAborted()
  const nodes = [await cluster.addNode('node-a'), await cluster.addNode('node-b')] as const
  printSetting(options, upstream.description)

  const stage = new Stage({ upstream, cluster, view: createView(), signal })
  const shared = await playSharedPull(stage, nodes)
  const kill = await playKill(stage, nodes)
  const findings = [...judgeSharedPull(shared), ...(kill === undefined ? [] : judgeKill(kill))]
  const names = ['node-a', 'node-b', 'node-c']
  process.stdout.write(renderSummary({ upstream, nodes: names, shared, kill, findings }))
  return findings.filter(({ isTrue }) => !isTrue)
}

function printSetting({ containerd }: DemoOptions, registry: string): void {
  const client = containerd ? 'containerd daemons' : 'a small OCI client, part of the demo; it verifies every digest'
  const lines = [
    `Registry  ${registry}`,
    'Cluster   a lock server, and one pull proxy for each node: real processes',
    `Clients   ${client}`,
  ]
  process.stdout.write(`\n${lines.join('\n')}\n\n`)
}
