import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { type ByteRange, parseByteRanges } from '../oci/byte-range.ts'

type Headers = Readonly<Record<string, string | number>>

/** How a request for content is answered. */
export interface RangeAnswer {
  readonly status: 200 | 206 | 416
  readonly headers: Headers
  /** The body: parts of the content, and what stands between them. */
  readonly parts: readonly (ByteRange | Buffer)[]
}

/**
 * Answers a request with all of some content, or with the `Range` of it that was asked for (RFC 9110, 14): one range as
 * 206, several as 206 with `multipart/byteranges`, none that exists as 416. With `If-Range` only who names the entity tag
 * of this very content gets a part; only `GET` has ranges.
 *
 * @param headers of the whole; `etag` is a strong one
 */
export function rangeAnswer({ method, headers: asked }: IncomingMessage, size: number, headers: Headers): RangeAnswer {
  const ifRange = asked['if-range']
  const isWanted = method === 'GET' && (ifRange === undefined || ifRange === headers['etag'])
  const ranges = isWanted ? parseByteRanges(asked.range, size) : undefined
  if (ranges === 'unsatisfiable') {
    return { status: 416, headers: { 'content-range': `bytes */${size}`, 'content-length': 0 }, parts: [] }
  }
  const all = { ...headers, 'accept-ranges': 'bytes' }
  if (ranges === undefined) {
    return { status: 200, headers: { ...all, 'content-length': size }, parts: [{ start: 0, end: size }] }
  }
  const [range, ...others] = ranges
  if (range !== undefined && others.length === 0) {
    const length = range.end - range.start
    const extra = { 'content-range': contentRange(range, size), 'content-length': length }
    return { status: 206, headers: { ...all, ...extra }, parts: [range] }
  }
  return multipart(ranges, size, all)
}

/** RFC 9110, 14.6. The part headers are known beforehand, and so is the length of the whole. */
function multipart(ranges: readonly ByteRange[], size: number, headers: Headers): RangeAnswer {
  const boundary = randomUUID()
  const type = headers['content-type'] ?? 'application/octet-stream'
  const parts = ranges.flatMap((range) => {
    const head = `\r\n--${boundary}\r\ncontent-type: ${type}\r\ncontent-range: ${contentRange(range, size)}\r\n\r\n`
    return [Buffer.from(head), range]
  })
  parts.push(Buffer.from(`\r\n--${boundary}--\r\n`))
  const length = parts.reduce((sum, part) => sum + (Buffer.isBuffer(part) ? part.length : part.end - part.start), 0)
  const extra = { 'content-type': `multipart/byteranges; boundary=${boundary}`, 'content-length': length }
  return { status: 206, headers: { ...headers, ...extra }, parts }
}

function contentRange({ start, end }: ByteRange, size: number): string {
  return `bytes ${start}-${end - 1}/${size}`
}
