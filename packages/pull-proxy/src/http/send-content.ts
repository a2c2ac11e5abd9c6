import type { ServerResponse } from 'node:http'
import { ChunkPool } from '../content/chunk-pool.ts'
import type { Content } from '../content/content-store.ts'
import type { ByteRange } from '../oci/byte-range.ts'
import { PieceReader } from './piece-reader.ts'
import { rangeAnswer } from './range-answer.ts'

export interface SendContentOptions {
  readonly response: ServerResponse
  /** Not disposed here. */
  readonly content: Content
  readonly headers: Readonly<Record<string, string>>
  /** Told of the bytes of the body as they go out. */
  readonly onSent: (bytes: number) => void
  /** Default: the one that all responses of this process share. */
  readonly pool?: ChunkPool | undefined
}

const POOL = new ChunkPool()

/**
 * Answers with content or the `Range` of it that was asked for: 200, 206, or 416. Clients and peers are served by this
 * alone. When the content fails in mid-body the connection is closed plainly, so that clients resume.
 */
export async function sendContent(options: SendContentOptions): Promise<void> {
  const { response, content, headers, onSent, pool = POOL } = options
  const { req: request } = response
  // The client may have left while the content was opened, and nothing will say so any more.
  if (response.destroyed) return
  const answer = rangeAnswer(request, content.size, headers)
  response.writeHead(answer.status, answer.headers)
  if (request.method === 'HEAD' || answer.parts.length === 0) {
    response.end()
    return
  }
  // The first bytes may be long in coming; that there will be some is told now.
  if (content.shared === undefined) response.flushHeaders()
  const gone = new AbortController()
  response.once('close', () => {
    if (!response.writableFinished) gone.abort()
  })
  try {
    using reader = new PieceReader(content, pool)
    await pump(response, answer.parts, { reader, signal: gone.signal, onSent })
    response.end()
  } catch {
    response.destroy()
  }
}

interface PumpOptions {
  readonly reader: PieceReader
  readonly signal: AbortSignal
  readonly onSent: (bytes: number) => void
}

/** Writes all parts into the response, reading ahead by one piece, never holding more than two. */
async function pump(
  response: ServerResponse,
  parts: readonly (ByteRange | Buffer)[],
  { reader, signal, onSent }: PumpOptions,
): Promise<void> {
  let writing: Promise<void> | undefined
  const put = async (bytes: Buffer, release: () => void) => {
    try {
      await writing
    } catch (error) {
      release()
      throw error
    }
    writing = write(response, bytes, onSent).finally(release)
    // It is awaited one turn later; until then nobody else looks at it.
    writing.catch(() => undefined)
  }
  for (const part of parts) {
    if (Buffer.isBuffer(part)) {
      await put(part, () => undefined)
      continue
    }
    for (let position = part.start; position < part.end;) {
      const { bytes, release } = await reader.next(position, part.end, signal)
      position += bytes.length
      await put(bytes, release)
    }
  }
  await writing
}

/** Resolves when the bytes have been handed to the system, so that their memory is free again; so it is on failure. */
function write(response: ServerResponse, bytes: Buffer, onSent: (bytes: number) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    if (response.destroyed) {
      reject(new Error('the client has gone'))
      return
    }
    const closed = () => reject(new Error('the client has gone'))
    response.once('close', closed)
    response.write(bytes, (error) => {
      response.off('close', closed)
      if (error !== null && error !== undefined) {
        reject(error)
        return
      }
      onSent(bytes.length)
      resolve()
    })
  })
}
