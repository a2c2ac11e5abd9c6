import type { ServerResponse } from 'node:http'
import type { Content } from '../content/content-store.ts'
import { type ByteRange, parseByteRange } from '../oci/byte-range.ts'

/** Two of these are used for each response: one is read into while the other is on its way out. */
const BUFFER_BYTES = 256 * 1024

export interface SendContentOptions {
  readonly response: ServerResponse
  /** Not disposed here. */
  readonly content: Content
  readonly headers: Readonly<Record<string, string>>
  /** Told of the bytes of the body as they go out. */
  readonly onSent: (bytes: number) => void
}

/**
 * Answers with content or the `Range` of it that was asked for (RFC 9110, 14): 200, 206, or 416. Clients and peers are
 * served by this alone. When the content fails in mid-body the connection is closed plainly, so that clients resume.
 */
export async function sendContent({ response, content, headers, onSent }: SendContentOptions): Promise<void> {
  const { req: request } = response
  // The client may have left while the content was opened, and nothing will say so any more.
  if (response.destroyed) return
  const { size } = content
  const range = request.method === 'GET' ? parseByteRange(request.headers.range, size) : undefined
  if (range === 'unsatisfiable') {
    response.writeHead(416, { 'content-range': `bytes */${size}`, 'content-length': 0 }).end()
    return
  }
  const { start, end } = range ?? { start: 0, end: size }
  const extra: Record<string, string> =
    range === undefined ? {} : { 'content-range': `bytes ${start}-${end - 1}/${size}` }
  const all = { ...headers, ...extra, 'accept-ranges': 'bytes', 'content-length': end - start }
  response.writeHead(range === undefined ? 200 : 206, all)
  if (request.method === 'HEAD') {
    response.end()
    return
  }
  // The first bytes may be long in coming; that there will be some is told now.
  response.flushHeaders()
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  try {
    await pump(response, content, { start, end }, { signal: gone.signal, onSent })
    response.end()
  } catch {
    response.destroy()
  }
}

interface PumpOptions {
  readonly signal: AbortSignal
  readonly onSent: (bytes: number) => void
}

/** Copies a range into the response, reading ahead by one buffer, never holding more than two. */
async function pump(response: ServerResponse, content: Content, { start, end }: ByteRange, options: PumpOptions) {
  const { signal, onSent } = options
  const size = Math.min(BUFFER_BYTES, end - start)
  const buffers = [Buffer.allocUnsafeSlow(size), Buffer.allocUnsafeSlow(size)] as const
  let writing: Promise<void> | undefined
  for (let position = start, turn = 0; position < end; turn ^= 1) {
    const buffer = buffers[turn as 0 | 1]
    const count = await content.read(buffer.subarray(0, Math.min(size, end - position)), position, signal)
    if (count === 0) throw new Error(`the content ends at ${position}, before ${end}`)
    await writing
    writing = write(response, buffer.subarray(0, count), onSent)
    // It is awaited one turn later; until then nobody else looks at it.
    writing.catch(() => undefined)
    position += count
  }
  await writing
}

/** Resolves when the bytes have been handed to the system, so that their buffer is free again. */
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
