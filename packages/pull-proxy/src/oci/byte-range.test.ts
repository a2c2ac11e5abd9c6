import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseByteRange, parseContentRange } from './byte-range.ts'

const huge = '9'.repeat(400)

describe('parseByteRange()', () => {
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
  ])('reads %s of ten bytes', (header, range) => {
    expect(parseByteRange(header, 10)).toEqual(range)
  })

  test.each(['bytes=10-', 'bytes=10-20', 'bytes=-0', `bytes=${huge}-`, `bytes=${huge}-${huge}`])(
    'cannot satisfy %s of ten bytes',
    (header) => {
      expect(parseByteRange(header, 10)).toBe('unsatisfiable')
    },
  )

  test.each(['bytes=0-', 'bytes=-1', 'bytes=0-0'])('cannot satisfy %s of an empty blob', (header) => {
    expect(parseByteRange(header, 0)).toBe('unsatisfiable')
  })

  test.each([
    undefined,
    '',
    'bytes',
    'bytes=',
    'bytes=-',
    'bytes=5-2',
    'bytes=a-b',
    'bytes=0-1,3-4',
    'bytes=--1',
    'bytes=1.5-2',
    'bytes=0x1-2',
    'items=0-1',
    '0-1',
  ])('ignores %j', (header) => {
    expect(parseByteRange(header, 10)).toBeUndefined()
  })

  test('gives a part of the blob or none, whatever it reads, and soon', () => {
    const header = fc.oneof(
      fc.string(),
      fc.tuple(fc.nat(), fc.nat()).map(([first, last]) => `bytes=${first}-${last}`),
      fc.nat().map((length) => `bytes=-${length}`),
    )
    fc.assert(
      fc.property(header, fc.nat(), (text, size) => {
        const range = parseByteRange(text, size)
        if (range === undefined || range === 'unsatisfiable') return
        expect(range.start).toBeGreaterThanOrEqual(0)
        expect(range.start).toBeLessThan(range.end)
        expect(range.end).toBeLessThanOrEqual(size)
      }),
    )
    const startMs = performance.now()
    parseByteRange(`bytes=${' '.repeat(200_000)}x`, 10)
    expect(performance.now() - startMs).toBeLessThan(1_000)
  })
})

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
