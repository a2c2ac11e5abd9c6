import type { LayerBoard } from './layer-board.ts'
import { LiveView } from './live-view.ts'
import { PlainView } from './plain-view.ts'

/** How a pull is shown while it goes on. */
export interface View {
  /** Shows a board from now on. Dispose: shows its end, and leaves it there. */
  show(board: LayerBoard): Disposable
  /** Tells what happens to the nodes meanwhile. */
  tell(board: LayerBoard, event: string): void
}

/** What the bars of three nodes need. Some pseudo terminals say that they have no size at all. */
const leastSize = { columns: 80, rows: 16 }

/** Bars on a terminal, lines elsewhere. */
export function createView(): View {
  const { isTTY, columns, rows } = process.stdout
  const hasRoom = columns >= leastSize.columns && rows >= leastSize.rows
  return isTTY && hasRoom ? new LiveView() : new PlainView()
}
