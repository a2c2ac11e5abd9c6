import { describe, expect, it } from 'vitest'
import { median, quantile, seededRandom, spread } from './statistics.ts'

const hundred = Array.from({ length: 100 }, (_, index) => 100 - index)

describe('quantile', () => {
  it('takes the smallest value that enough others do not exceed', () => {
    expect(quantile(hundred, 0.5)).toBe(50)
    expect(quantile(hundred, 0.99)).toBe(99)
    expect(quantile(hundred, 1)).toBe(100)
    expect(quantile([7], 0.99)).toBe(7)
  })

  it('sorts numbers, not their texts, and leaves the values as they are', () => {
    const values = [9, 10, 1]
    expect(quantile(values, 1)).toBe(10)
    expect(values).toEqual([9, 10, 1])
  })

  it('has no answer for no values', () => {
    expect(quantile([], 0.5)).toBeNaN()
  })
})

describe('median', () => {
  it('is the middle value, or the mean of the two in the middle', () => {
    expect(median([5, 1, 3])).toBe(3)
    expect(median([4, 1, 3, 2])).toBe(2.5)
    expect(median([])).toBeNaN()
  })
})

describe('spread', () => {
  it('is half of the range as a share of the median', () => {
    expect(spread([8, 10, 12])).toBeCloseTo(0.2)
    expect(spread([3, 3])).toBe(0)
  })
})

describe('seededRandom', () => {
  it('gives the same numbers for the same seed, spread over 0 to 1', () => {
    const numbers = Array.from({ length: 1_000 }, seededRandom(1))
    expect(Array.from({ length: 1_000 }, seededRandom(1))).toEqual(numbers)
    expect(numbers.every((number) => number >= 0 && number < 1)).toBe(true)
    expect(numbers.reduce((sum, number) => sum + number, 0) / 1_000).toBeCloseTo(0.5, 1)
  })
})
