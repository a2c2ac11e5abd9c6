import { styleText } from 'node:util'

import type { LayerState, LayerTrack } from './layer-board.ts'

/** What a node does about a layer, or has done. */
export function describeTrack({ node, state, from, resumedAtBytes, endedMs }: LayerTrack): string {
  const isOver = endedMs !== undefined
  switch (state) {
    case 'waiting':
      return 'waiting'
    case 'queued':
      return from === undefined ? 'queued' : `queued: ${from} is gone`
    case 'fetching':
      return `${isOver ? 'fetched' : 'fetching'} ${resumedAtBytes === undefined ? 'from the registry' : 'the rest'}`
    case 'relaying':
      return `${isOver ? 'relayed' : 'relaying'} from ${from}`
    case 'skipping': {
      const why = from === undefined ? '' : from === node ? ': has it already' : `: ${from} has it`
      return `${isOver ? 'skipped' : 'skipping'}${why}`
    }
    case 'lost':
      return 'killed'
  }
}

type Style = Parameters<typeof styleText>[0]

const styles: Readonly<Record<LayerState, Style>> = {
  waiting: 'dim',
  queued: 'dim',
  fetching: 'yellow',
  relaying: 'cyan',
  skipping: 'green',
  lost: 'red',
}

/** Colours a text by what is done: yellow costs the registry something, everything else does not. */
export function colour(state: LayerState, text: string): string {
  return paint(styles[state], text)
}

/** Styles a text, unless it does not go to a terminal or `NO_COLOR` is set. */
export function paint(style: Style, text: string): string {
  return styleText(style, text, { stream: process.stdout })
}
