import type { IncomingMessage } from 'node:http'

/**
 * Whether the client has it already (`If-None-Match`, RFC 9110, 13.1.2). What a digest names never changes, so this is
 * answered without looking. `*` asks whether there is anything at all, which only upstream knows: it counts for nothing.
 */
export function isNotModified(request: IncomingMessage, etag: string): boolean {
  const header = request.headers['if-none-match']
  if (header === undefined) return false
  const candidates = new Set(header.split(',').map((candidate) => candidate.trim().replace(/^W\//, '')))
  return candidates.has(etag)
}
