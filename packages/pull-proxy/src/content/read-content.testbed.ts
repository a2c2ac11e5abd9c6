import type { Content } from './content-store.ts'

/** Reads content from a position to its end, a piece at a time. @throws when it says too early that this is the end */
export async function readContent(content: Content, position = 0, pieceBytes = 64 * 1024): Promise<Buffer> {
  const pieces: Buffer[] = []
  for (;;) {
    const piece = Buffer.alloc(pieceBytes)
    const count = await content.read(piece, position)
    if (count === 0 && position < content.size) throw new Error(`the content ends at ${position}`)
    if (count === 0) return Buffer.concat(pieces)
    pieces.push(piece.subarray(0, count))
    position += count
  }
}
