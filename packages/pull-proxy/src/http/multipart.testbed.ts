/** One part of a `multipart/byteranges` answer. */
export interface ParsedPart {
  readonly type: string | undefined
  readonly range: string | undefined
  readonly bytes: Buffer
}

/** Takes a multipart body apart by the letter of RFC 2046, 5.1.1. @throws when it is none */
export function parseMultipart(contentType: string | undefined, body: Buffer): ParsedPart[] {
  const boundary = /^multipart\/byteranges; boundary=([0-9a-zA-Z'()+_,./:=?-]{1,70})$/.exec(contentType ?? '')?.[1]
  if (boundary === undefined) throw new Error(`no multipart answer: ${contentType}`)
  const delimiter = `\r\n--${boundary}`
  const end = body.indexOf(`${delimiter}--\r\n`)
  if (end === -1) throw new Error('the closing boundary is missing')
  if (end + delimiter.length + 4 !== body.length) throw new Error('something comes after the closing boundary')
  const parts: ParsedPart[] = []
  for (let position = body.indexOf(`${delimiter}\r\n`); position !== -1 && position < end;) {
    const head = position + delimiter.length + 2
    const start = body.indexOf('\r\n\r\n', head) + 4
    const next = body.indexOf(delimiter, start)
    const headers = new Map(
      body
        .toString('latin1', head, start - 4)
        .split('\r\n')
        .map((line) => line.toLowerCase().split(': ') as [string, string]),
    )
    parts.push({
      type: headers.get('content-type'),
      range: headers.get('content-range'),
      bytes: body.subarray(start, next),
    })
    position = next
  }
  return parts
}
