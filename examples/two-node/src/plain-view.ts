import type { LayerBoard, LayerTrack } from './layer-board.ts'
import { formatBytes, formatSeconds } from './quantity.ts'
import type { View } from './view.ts'
import { describeTrack } from './wording.ts'

/** What passes faster is not worth a line. */
const intervalMs = 50

/** One line whenever a layer's state has changed, and one at its end: for files and other programs. */
export class PlainView implements View {
  show(board: LayerBoard): Disposable {
    const printed = new Map(board.tracks.map((track) => [track, describeChange(track, board.layerCount)]))
    const printChanges = (): void => {
      for (const [track, before] of printed) {
        const now = describeChange(track, board.layerCount)
        if (now !== before) printLine(board, now)
        printed.set(track, now)
      }
    }
    const timer = setInterval(printChanges, intervalMs)
    return {
      [Symbol.dispose]() {
        clearInterval(timer)
        printChanges()
        process.stdout.write('\n')
      },
    }
  }

  tell(board: LayerBoard, event: string): void {
    printLine(board, event)
  }
}

function printLine({ startedMs }: LayerBoard, text: string): void {
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
  process.stdout.write(`[${seconds.padStart(5)}s] ${text}\n`)
}

function describeChange(track: LayerTrack, layerCount: number): string {
  const { node, number, layer, startedMs, endedMs, state, resumedAtBytes } = track
  const name = `${node}  layer ${number}/${layerCount} ${layer.digest.slice(0, 15)}…`
  if (endedMs !== undefined && state !== 'lost') {
    const took = formatSeconds(endedMs - (startedMs ?? endedMs))
    return `${name}  done in ${took}: ${describeTrack(track)}`
  }
  const where = resumedAtBytes === undefined ? '' : ` from ${formatBytes(resumedAtBytes)} on`
  return `${name}  ${describeTrack(track)}${where}`
}
