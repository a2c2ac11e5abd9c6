import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'

import { RateLimit } from './rate-limit.ts'

beforeEach(() => {
  vi.useFakeTimers()
})

afterEach(() => {
  vi.useRealTimers()
})

/** Takes slices for ever and tells how many bytes it got. */
function drain(limit: RateLimit): () => number {
  let bytes = 0
  void (async () => {
    for (;;) {
      const slice = limit.sliceBytes
      await limit.take(slice)
      bytes += slice
    }
  })()
  return () => bytes
}

describe('RateLimit', () => {
  test('take() lets the rate through, to within one slice, however long it runs', async () => {
    const limit = new RateLimit(1_000_000)
    const taken = drain(limit)
    for (let seconds = 1; seconds <= 5; seconds += 1) {
      await vi.advanceTimersByTimeAsync(1_000)
      expect(Math.abs(taken() - seconds * 1_000_000)).toBeLessThanOrEqual(2 * limit.sliceBytes)
    }
  })

  test('take() is smooth: no 50 ms differ by more than two slices from their share', async () => {
    const limit = new RateLimit(1_000_000)
    const taken = drain(limit)
    await vi.advanceTimersByTimeAsync(100)
    for (let step = 0; step < 20; step += 1) {
      const before = taken()
      await vi.advanceTimersByTimeAsync(50)
      expect(Math.abs(taken() - before - 50_000)).toBeLessThanOrEqual(2 * limit.sliceBytes)
    }
  })

  test('take() shares the rate evenly between streams', async () => {
    const limit = new RateLimit(4_000_000)
    const streams = [drain(limit), drain(limit), drain(limit), drain(limit)]
    await vi.advanceTimersByTimeAsync(1_000)
    for (const taken of streams) expect(Math.abs(taken() - 1_000_000)).toBeLessThanOrEqual(2 * limit.sliceBytes)
  })

  test('take() uses nothing up when it is aborted while it waits', async () => {
    const limit = new RateLimit(1_000)
    void limit.take(1_000)
    await vi.advanceTimersByTimeAsync(10)
    const abort = new AbortController()
    const aborted = limit.take(1_000_000, abort.signal)
    const next = limit.take(10)
    abort.abort(new Error('gone'))
    await expect(aborted).rejects.toThrow('gone')
    await vi.advanceTimersByTimeAsync(1_100)
    await expect(next).resolves.toBeUndefined()
  })

  test('take() does not wait without a limit, nor after it was lifted', async () => {
    const limit = new RateLimit()
    await limit.take(1e12)
    limit.bytesPerSecond = 1
    const waiting = Promise.all([limit.take(1_000_000), limit.take(1)])
    await vi.advanceTimersByTimeAsync(20)
    limit.bytesPerSecond = undefined
    await vi.advanceTimersByTimeAsync(20)
    await expect(waiting).resolves.toHaveLength(2)
  })
})
