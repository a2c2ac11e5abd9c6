/** A part of a blob: from `start` up to but not including `end`. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/**
 * Ranges of one request that are answered: as many as zstd:chunked pulls of containers/image ask for. More are a reason
 * to send the whole, for which no client can blame us.
 */
const MAX_RANGES = 1_024

/**
 * Reads a `Range` header (RFC 9110, 14.2) for a blob of this size. Ranges that cannot be satisfied are left out;
 * `'unsatisfiable'`, which is a 416, when none is left. Ranges that overlap become one and are in ascending order then,
 * others stay as they are: clients of a multipart answer count its parts. Undefined: serve the whole, because the header
 * is absent or cannot be read, names another unit, or asks for more ranges or bytes than it makes sense to answer.
 */
export function parseByteRanges(
  header: string | undefined,
  size: number,
): readonly ByteRange[] | 'unsatisfiable' | undefined {
  const specs = /^bytes=(.*)$/i
    .exec(header ?? '')?.[1]
    ?.split(',')
    .map((spec) => spec.trim())
    .filter((spec) => spec !== '')
  if (specs === undefined || specs.length === 0 || specs.length > MAX_RANGES) return undefined
  const ranges: ByteRange[] = []
  for (const spec of specs) {
    const range = parseSpec(spec, size)
    if (range === undefined) return undefined
    if (range !== 'unsatisfiable') ranges.push(range)
  }
  if (ranges.length === 0) return 'unsatisfiable'
  const asked = ranges.reduce((sum, { start, end }) => sum + end - start, 0)
  return ranges.length > 1 && asked > size ? undefined : withoutOverlaps(ranges)
}

function parseSpec(spec: string, size: number): ByteRange | 'unsatisfiable' | undefined {
  const [, first = '', last = ''] = /^(\d*)-(\d*)$/.exec(spec) ?? []
  if (first === '' && last === '') return undefined
  if (first === '') {
    const length = Number(last)
    if (length === 0 || size === 0) return 'unsatisfiable'
    return { start: Math.max(0, size - length), end: size }
  }
  const start = Number(first)
  const end = last === '' ? size : Math.min(Number(last) + 1, size)
  if (last !== '' && Number(last) < start) return undefined
  return start >= size ? 'unsatisfiable' : { start, end }
}

function withoutOverlaps(ranges: readonly ByteRange[]): readonly ByteRange[] {
  const merged: ByteRange[] = []
  for (const range of ranges.toSorted((a, b) => a.start - b.start)) {
    const before = merged.at(-1)
    if (before === undefined || range.start >= before.end) merged.push(range)
    else merged[merged.length - 1] = { start: before.start, end: Math.max(before.end, range.end) }
  }
  return merged.length === ranges.length ? ranges : merged
}

/** What a `Content-Range` header says (RFC 9110, 14.4); undefined when it cannot be read. `total` absent: `*`. */
export function parseContentRange(
  header: string | undefined,
): { readonly start: number; readonly end: number; readonly total: number | undefined } | undefined {
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/i.exec(header?.trim() ?? '')
  if (match === null) return undefined
  const [start, end] = [Number(match[1]), Number(match[2]) + 1]
  const total = match[3] === '*' ? undefined : Number(match[3])
  return start < end && end <= (total ?? end) ? { start, end, total } : undefined
}
