import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { thrownBy } from '../failure-of.testbed.ts'
import { OciError } from './oci-error.ts'
import { parseRepository } from './repository.ts'

test.each(['app', 'library/app', 'a/b/c/d', 'a.b', 'a_b', 'a__b', 'a-b', 'a---b', '0/1', 'a'.repeat(255)])(
  'parseRepository() takes %s',
  (name) => {
    expect(parseRepository(name)).toBe(name)
  },
)

test.each([
  '',
  '/',
  '/a',
  'a/',
  'a//b',
  'A',
  'a/B',
  '.a',
  'a.',
  '-a',
  'a-',
  'a..b',
  'a___b',
  'a._b',
  'a b',
  'a\n',
  'a/../b',
  '..',
  'ä',
  'a?b',
  'a#b',
  'a%2fb',
  'registry:5000/a',
  'a'.repeat(256),
])('parseRepository() refuses %j', (name) => {
  expect(() => parseRepository(name)).toThrow(expect.objectContaining({ code: 'NAME_INVALID' }))
})

test('parseRepository() throws nothing but OciError, and that soon', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom('a', '0', '.', '_', '-', '/', 'A', ' '), maxLength: 300 }),
      (name) => {
        const error = thrownBy(() => parseRepository(name))
        expect(error === undefined || error instanceof OciError).toBe(true)
      },
    ),
  )
  const startMs = performance.now()
  for (const piece of ['a', 'a-', 'a--', 'a/', 'a_', '-', 'a.']) {
    expect(() => parseRepository(`${piece.repeat(254 / piece.length)}!`)).toThrow(OciError)
  }
  expect(performance.now() - startMs).toBeLessThan(1_000)
})
