import Table from 'cli-table3'

import type { DemoUpstream } from './demo-upstream.ts'
import { type Image, uniqueBytes } from './image.ts'
import type { KillResult } from './kill.ts'
import type { LayerTrack } from './layer-board.ts'
import { formatBytes, formatRatio, formatSeconds } from './quantity.ts'
import type { PullResult, SharedPullResult } from './shared-pull.ts'
import { type Finding, resentBytes, sentRatio } from './verdict.ts'
import { paint } from './wording.ts'

/** What the demo has found out. */
export interface Summary {
  readonly upstream: DemoUpstream
  readonly nodes: readonly string[]
  readonly shared: SharedPullResult
  /** Undefined when nobody was killed. */
  readonly kill: KillResult | undefined
  readonly findings: readonly Finding[]
}

/** The table of all layers, the totals, and what they show. */
export function renderSummary({ upstream, nodes, shared, kill, findings }: Summary): string {
  const results = kill === undefined ? [shared] : [shared, kill]
  return [
    layerTable(results, upstream, nodes),
    '',
    `Bytes with config and manifest, as counted by ${upstream.countedBy}:`,
    totalTable(results),
    '',
    ...findings.map(({ isTrue, text }) => `${isTrue ? paint('green', '✔') : paint('red', '✘')} ${text}`),
    '',
  ].join('\n')
}

/** Who fetched what, and how long each node took. */
function layerTable(results: readonly PullResult[], upstream: DemoUpstream, nodes: readonly string[]): string {
  const table = new Table({
    head: headOf('layer', 'size', 'fetched', 'by', ...nodes),
    colAligns: ['left', 'right', 'left', 'left', ...nodes.map(() => 'right' as const)],
    style: plainStyle,
  })
  for (const { image, boards } of results) {
    for (const [index, layer] of image.layers.entries()) {
      const tracks = boards.flatMap((board) => board.tracks).filter((track) => track.layer.digest === layer.digest)
      const fetchers = tracks.filter(({ isFetched }) => isFetched).map(({ node }) => node)
      table.push([
        `${shortName(image)} ${index + 1}/${image.layers.length}`,
        formatBytes(layer.size),
        describeTimes(upstream.layerRequests(layer.digest)?.length ?? fetchers.length),
        fetchers.join(', '),
        ...nodes.map((node) => describeDuration(tracks.find((track) => track.node === node))),
      ])
    }
  }
  return table.toString()
}

/** Layers, config and manifest together. */
function totalTable(results: readonly PullResult[]): string {
  const table = new Table({
    head: headOf('image', 'sent', 'unique', 'sent again', 'sent / unique'),
    colAligns: ['left', 'right', 'right', 'right', 'right'],
    style: plainStyle,
  })
  for (const result of results) {
    const { image, sentBytes } = result
    const bytes = [sentBytes, uniqueBytes(image), resentBytes(result)].map(formatBytes)
    table.push([shortName(image), ...bytes, paint('bold', formatRatio(sentRatio(result)))])
  }
  return table.toString()
}

const plainStyle = { head: [], border: [], compact: true }

function headOf(...titles: readonly string[]): string[] {
  return titles.map((title) => paint('bold', title))
}

function shortName({ repository }: Image): string {
  return repository.slice(repository.lastIndexOf('/') + 1)
}

function describeTimes(count: number): string {
  return ['never', 'once', 'twice'][count] ?? `${count} times`
}

function describeDuration(track: LayerTrack | undefined): string {
  if (track?.startedMs === undefined || track.endedMs === undefined) return '–'
  return track.state === 'lost' ? 'killed' : formatSeconds(track.endedMs - track.startedMs)
}
