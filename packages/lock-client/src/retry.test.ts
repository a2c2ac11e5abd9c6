import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { LockError, LockServerUnavailableError } from './errors.ts'
import { retry } from './retry.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

test('retry() tries again what failed for a passing reason', async () => {
  let tries = 0
  const attempt = () =>
    ++tries < 4 ? Promise.reject(new LockServerUnavailableError('away')) : Promise.resolve('there')
  const result = retry(attempt, { giveUpMs: 60_000 })
  await vi.runAllTimersAsync()
  expect(await result).toBe('there')
  expect(tries).toBe(4)
})

test('retry() throws at once what trying again cannot change', async () => {
  for (const error of [new LockError('invalid_request', 'no'), new TypeError('no')]) {
    await expect(retry(() => Promise.reject(error), { giveUpMs: 60_000 })).rejects.toBe(error)
  }
})

test('retry() waits for as long as the server asks for', async () => {
  const times: number[] = []
  const busy = new LockError('overloaded', 'busy', { retryAfterMs: 3_000 })
  const attempt = () => {
    times.push(performance.now())
    return times.length < 3 ? Promise.reject(busy) : Promise.resolve()
  }
  const result = retry(attempt, { giveUpMs: 60_000 })
  await vi.runAllTimersAsync()
  await result
  expect(times[1]! - times[0]!).toBeGreaterThanOrEqual(3_000)
  expect(times[2]! - times[1]!).toBeGreaterThanOrEqual(3_000)
})

test('retry() gives up before it would wait for too long, with the last error', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(1)
  const startMs = performance.now()
  const away = new LockServerUnavailableError('away')
  const result = retry(() => Promise.reject(away), { giveUpMs: 10_000 }).then(String, (error: unknown) => error)
  await vi.runAllTimersAsync()
  expect(await result).toBe(away)
  expect(performance.now() - startMs).toBeLessThanOrEqual(10_000)
  expect(performance.now() - startMs).toBeGreaterThan(5_000)
})

test('retry() counts from the first failure: a try that hung for longer than that is repeated', async () => {
  let tries = 0
  const attempt = async () => {
    if (++tries > 1) return 'there'
    await new Promise((resolve) => setTimeout(resolve, 60_000))
    throw new LockServerUnavailableError('away')
  }
  const settled = retry(attempt, { giveUpMs: 30_000 }).catch((error: unknown) => error)
  await vi.runAllTimersAsync()
  expect(await settled).toBe('there')
})

test('retry() stops waiting when it is aborted', async () => {
  const controller = new AbortController()
  const busy = new LockError('overloaded', 'busy', { retryAfterMs: 3_000 })
  const result = retry(() => Promise.reject(busy), { giveUpMs: 60_000, signal: controller.signal })
  const reason = new Error('enough')
  queueMicrotask(() => controller.abort(reason))
  await expect(result).rejects.toBe(reason)
})
