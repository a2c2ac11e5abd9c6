import { uniqueBytes } from './image.ts'
import type { KillResult } from './kill.ts'
import { formatBytes, formatRatio } from './quantity.ts'
import type { PullResult, SharedPullResult } from './shared-pull.ts'

/** One thing that the demo shows, and whether it is so. */
export interface Finding {
  readonly isTrue: boolean
  readonly text: string
}

/** Bytes that were on their way to the killed node are sent again; there may be this many of them. */
const maxKillRatio = 1.02

/** What the registry sent, divided by what the image has. */
export function sentRatio({ image, sentBytes }: PullResult): number {
  return sentBytes / uniqueBytes(image)
}

/** Bytes that were sent more than once: they were on their way to the node that was killed. */
export function resentBytes({ image, sentBytes }: PullResult): number {
  return Math.max(0, sentBytes - uniqueBytes(image))
}

/** Judges the first image: everything was sent once, whoever pulled. */
export function judgeSharedPull(result: SharedPullResult): Finding[] {
  const { image, nodeCount, laterRequests } = result
  const ratio = formatRatio(sentRatio(result))
  return [
    {
      isTrue: ratio === '1.00',
      text: `${nodeCount} nodes pulled ${image.repository}, and the registry sent it ${ratio} times.`,
    },
    {
      isTrue: laterRequests === 0,
      text: `The pulls after the first two made ${laterRequests} requests to the registry.`,
    },
  ]
}

/** Judges the image during whose pull a node was killed: the other one had the rest fetched, and nothing else. */
export function judgeKill(result: KillResult): Finding[] {
  const { image, victim, survivor, requests } = result
  const ratio = sentRatio(result)
  const range = requests.at(-1)?.range
  const offset = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0)
  return [
    {
      isTrue: requests.length === 2 && offset >= image.layers[0]!.size / 2,
      text: `After ${victim} was killed, ${survivor} asked for the rest only (${range ?? 'no range'}).`,
    },
    {
      isTrue: ratio <= maxKillRatio,
      text: `${image.repository} was sent ${formatRatio(ratio)} times: ${formatBytes(resentBytes(result))} were on their way to ${victim}.`,
    },
  ]
}
