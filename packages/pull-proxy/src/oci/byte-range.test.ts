import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseByteRanges, parseContentRange } from './byte-range.ts'

const huge = '9'.repeat(400)

describe('parseByteRanges()', () => {
  test.each([
    ['bytes=0-', { start: 0, end: 10 }],
    ['bytes=0-0', { start: 0, end: 1 }],
    ['bytes=2-5', { start: 2, end: 6 }],
    ['bytes=9-', { start: 9, end: 10 }],
    ['bytes=5-99', { start: 5, end: 10 }],
    [`bytes=5-${huge}`, { start: 5, end: 10 }],
    ['bytes=-3', { start: 7, end: 10 }],
    ['bytes=-10', { start: 0, end: 10 }],
    ['bytes=-99', { start: 0, end: 10 }],
    ['BYTES=1-2', { start: 1, end: 3 }],
    ['bytes= 1-2 ', { start: 1, end: 3 }],
    ['bytes=,1-2,,', { start: 1, end: 3 }],
  ])('reads %s of ten bytes', (header, range) => {
    expect(parseByteRanges(header, 10)).toEqual([range])
  })

  test.each([
    ['bytes=0-1,3-4', ['0-2', '3-5']],
    ['bytes=0-1 ,\t3-4, ,-1', ['0-2', '3-5', '9-10']],
    // As they were asked for, as far as they do not overlap: clients count the parts.
    ['bytes=8-9,0-1', ['8-10', '0-2']],
    ['bytes=0-1,2-3', ['0-2', '2-4']],
    ['bytes=4-6,0-1,5-7', ['0-2', '4-8']],
    ['bytes=0-4,1-2', ['0-5']],
    ['bytes=0-1,20-30,-0,12-', ['0-2']],
  ])('reads several ranges in %s', (header, ranges) => {
    expect(rangesOf(parseByteRanges(header, 10))).toEqual(ranges)
  })

  test.each(['bytes=10-', 'bytes=10-20', 'bytes=-0', `bytes=${huge}-`, `bytes=${huge}-${huge}`, 'bytes=10-,-0,20-30'])(
    'cannot satisfy %s of ten bytes',
    (header) => {
      expect(parseByteRanges(header, 10)).toBe('unsatisfiable')
    },
  )

  test.each(['bytes=0-', 'bytes=-1', 'bytes=0-0', 'bytes=0-0,-1'])('cannot satisfy %s of an empty blob', (header) => {
    expect(parseByteRanges(header, 0)).toBe('unsatisfiable')
  })

  test.each([
    undefined,
    '',
    'bytes',
    'bytes=',
    'bytes=,',
    'bytes=-',
    'bytes=5-2',
    'bytes=a-b',
    'bytes=--1',
    'bytes=1.5-2',
    'bytes=0x1-2',
    'bytes=1 - 2',
    'bytes =0-1',
    'items=0-1',
    '0-1',
    // One that cannot be read spoils the others.
    'bytes=0-1,5-2',
    'bytes=0-1,x',
  ])('ignores %j', (header) => {
    expect(parseByteRanges(header, 10)).toBeUndefined()
  })

  test('sends the whole when more is asked for than there is, or more ranges than make sense', () => {
    expect(parseByteRanges('bytes=0-,0-', 10)).toBeUndefined()
    const ranges = (count: number) =>
      `bytes=${Array.from({ length: count }, (_, index) => `${index * 2}-${index * 2}`).join(',')}`
    expect(parseByteRanges(ranges(1_024), 10_000)).toHaveLength(1_024)
    expect(parseByteRanges(ranges(1_025), 10_000)).toBeUndefined()
  })

  test('gives parts of the blob that do not overlap, whatever it reads, and soon', () => {
    const spec = fc.oneof(
      fc.tuple(fc.nat(), fc.nat()).map(([first, last]) => `${first}-${last}`),
      fc.nat().map((length) => `-${length}`),
      fc.nat().map((first) => `${first}-`),
    )
    const header = fc.oneof(
      fc.string(),
      fc.array(spec, { maxLength: 8 }).map((specs) => `bytes=${specs.join(',')}`),
    )
    fc.assert(
      fc.property(header, fc.nat(), (text, size) => {
        const ranges = parseByteRanges(text, size)
        if (ranges === undefined || ranges === 'unsatisfiable') return
        let end = 0
        for (const range of ranges.toSorted((a, b) => a.start - b.start)) {
          expect(range.start).toBeGreaterThanOrEqual(end)
          expect(range.start).toBeLessThan(range.end)
          end = range.end
        }
        expect(end).toBeLessThanOrEqual(size)
      }),
    )
    const startMs = performance.now()
    parseByteRanges(`bytes=${' '.repeat(200_000)}x`, 10)
    parseByteRanges(`bytes=${'0-0,'.repeat(50_000)}`, 10)
    expect(performance.now() - startMs).toBeLessThan(1_000)
  })
})

function rangesOf(ranges: ReturnType<typeof parseByteRanges>): string[] {
  return Array.isArray(ranges) ? ranges.map(({ start, end }) => `${start}-${end}`) : []
}

describe('parseContentRange()', () => {
  test.each([
    ['bytes 0-9/10', { start: 0, end: 10, total: 10 }],
    ['bytes 5-9/10', { start: 5, end: 10, total: 10 }],
    ['bytes 5-6/*', { start: 5, end: 7, total: undefined }],
    [' Bytes 1-1/3 ', { start: 1, end: 2, total: 3 }],
  ])('reads %j', (header, range) => {
    expect(parseContentRange(header)).toEqual(range)
  })

  test.each([
    undefined,
    '',
    'bytes */10',
    'bytes 0-9',
    'bytes -9/10',
    'bytes=0-9/10',
    'items 0-9/10',
    'bytes 5-2/10',
    'bytes 0-10/10',
    `bytes 0-${huge}/${huge}`,
  ])('reads nothing in %j', (header) => {
    expect(parseContentRange(header)).toBeUndefined()
  })
})
