import logUpdate from 'log-update'

import type { LayerBoard, LayerTrack } from './layer-board.ts'
import { formatBytes } from './quantity.ts'
import type { View } from './view.ts'
import { colour, describeTrack, paint } from './wording.ts'

const intervalMs = 80
/** Fits the longest line into 80 columns. */
const barWidth = 18

/** One progress bar for each layer on each node, redrawn in place. */
export class LiveView implements View {
  #event = ''

  show(board: LayerBoard): Disposable {
    this.#event = ''
    const draw = (): string => this.#draw(board)
    logUpdate(draw())
    const timer = setInterval(() => logUpdate(draw()), intervalMs)
    return {
      [Symbol.dispose]() {
        clearInterval(timer)
        // What is redrawn in place is cut to the height of the terminal; what stays is whole.
        logUpdate.clear()
        logUpdate.done()
        process.stdout.write(`${draw()}\n`)
      },
    }
  }

  tell(_board: LayerBoard, event: string): void {
    this.#event = `\n  ${paint(['red', 'bold'], event)}`
  }

  #draw(board: LayerBoard): string {
    const blocks = board.nodes.map((node) =>
      board.tracks
        .filter((track) => track.node === node)
        .map((track) => drawTrack(track, board.layerCount))
        .join('\n'),
    )
    return `${blocks.join('\n\n')}${this.#event}\n`
  }
}

function drawTrack(track: LayerTrack, layerCount: number): string {
  const { node, number, layer, doneBytes, state } = track
  const ratio = layer.size === 0 ? 1 : Math.min(1, doneBytes / layer.size)
  const filled = Math.floor(ratio * barWidth)
  const bar = colour(state, '━'.repeat(filled)) + paint('dim', '─'.repeat(barWidth - filled))
  const percent = `${Math.floor(ratio * 100)} %`.padStart(5)
  const size = formatBytes(layer.size).padStart(8)
  return `  ${node}  ${number}/${layerCount}  ${bar} ${percent}  ${size}  ${colour(state, describeTrack(track))}`
}
