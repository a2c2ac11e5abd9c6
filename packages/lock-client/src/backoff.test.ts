import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { backoffMs, DEFAULT_BACKOFF } from './backoff.ts'

test('backoffMs() is anything from 0 to a ceiling that doubles', () => {
  const options = { firstMs: 100, greatestMs: 5_000 }
  const ceilings = [0, 1, 2, 3].map((attempt) => backoffMs(attempt, options, () => 1))
  expect(ceilings).toEqual([100, 200, 400, 800])
  expect(backoffMs(3, options, () => 0)).toBe(0)
  expect(backoffMs(3, options, () => 0.5)).toBe(400)
})

test('backoffMs() never exceeds its greatest wait, however often it failed', () => {
  fc.assert(
    fc.property(fc.nat(1_000_000), (attempt) => {
      const waitMs = backoffMs(attempt)
      return waitMs >= 0 && waitMs <= DEFAULT_BACKOFF.greatestMs
    }),
  )
  expect(backoffMs(1_000_000, undefined, () => 1)).toBe(5_000)
})
