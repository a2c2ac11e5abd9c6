import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { LockServerUnavailableError } from './errors.ts'
import { RetryBudget } from './retry-budget.ts'
import { retry } from './retry.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const LONG = { withinMs: 3_600_000 }

/** So many retries that all want a token now, and how many have got one. */
function crowd(budget: RetryBudget, count: number): { given: number } {
  const seen = { given: 0 }
  for (let index = 0; index < count; index++) void budget.take(LONG).then((given) => (seen.given += given ? 1 : 0))
  return seen
}

test('take() gives a burst at once, and then as many a second as it was told', async () => {
  const seen = crowd(new RetryBudget(10), 100)
  await vi.advanceTimersByTimeAsync(0)
  expect(seen.given).toBe(10)
  await vi.advanceTimersByTimeAsync(1_050)
  expect(seen.given).toBeGreaterThanOrEqual(19)
  expect(seen.given).toBeLessThanOrEqual(21)
  await vi.advanceTimersByTimeAsync(20_000)
  expect(seen.given).toBe(100)
})

test('take() serves in the order in which the retries came', async () => {
  const budget = new RetryBudget(1)
  const order: number[] = []
  for (let index = 0; index < 5; index++) void budget.take(LONG).then(() => order.push(index))
  await vi.advanceTimersByTimeAsync(10_000)
  expect(order).toEqual([0, 1, 2, 3, 4])
})

test('take() resolves with false when there is no token in time', async () => {
  const budget = new RetryBudget(1)
  await budget.take(LONG)
  const second = budget.take({ withinMs: 200 })
  await vi.advanceTimersByTimeAsync(250)
  expect(await second).toBe(false)
  expect(vi.getTimerCount()).toBe(0)
})

test('take() rejects with the reason of its signal, and leaves its turn to the next', async () => {
  const budget = new RetryBudget(1)
  await budget.take(LONG)
  const controller = new AbortController()
  const second = budget.take({ ...LONG, signal: controller.signal })
  const third = budget.take(LONG)
  const reason = new Error('enough')
  queueMicrotask(() => controller.abort(reason))
  await expect(second).rejects.toBe(reason)
  await vi.advanceTimersByTimeAsync(1_050)
  expect(await third).toBe(true)
})

test('firstTry() adds one retry for every ten calls', async () => {
  const budget = new RetryBudget(5)
  const seen = crowd(budget, 100)
  await vi.advanceTimersByTimeAsync(0)
  expect(seen.given).toBe(5)
  for (let call = 0; call < 101; call++) budget.firstTry()
  await vi.advanceTimersByTimeAsync(0)
  expect(seen.given).toBe(15)
})

test('recovered() lets all who wait come back in doubling steps', async () => {
  const budget = new RetryBudget(10)
  const seen = crowd(budget, 1_000)
  await vi.advanceTimersByTimeAsync(0)
  let steps = 0
  for (let told = 9; seen.given < 1_000; steps++) {
    for (const newlyGiven = seen.given; told < newlyGiven; told++) budget.recovered()
    await vi.advanceTimersByTimeAsync(0)
  }
  expect(steps).toBeLessThanOrEqual(12)
})

test('take() sets one timer for all who wait, besides their own, and none is left when they are gone', async () => {
  const budget = new RetryBudget(10)
  crowd(budget, 10)
  const timers = vi.spyOn(globalThis, 'setTimeout')
  const controller = new AbortController()
  const waiting = Array.from({ length: 200 }, () => budget.take({ ...LONG, signal: controller.signal }))
  expect(timers).toHaveBeenCalledTimes(200 + 1)
  const settled = Promise.allSettled(waiting)
  controller.abort(new Error('enough'))
  await settled
  expect(timers).toHaveBeenCalledTimes(200 + 1)
  expect(vi.getTimerCount()).toBe(0)
  timers.mockRestore()
})

test('take() keeps the process alive for those in the foreground alone', async () => {
  const budget = new RetryBudget(1)
  await budget.take(LONG)
  const timers = vi.spyOn(globalThis, 'setTimeout')
  const isKept = () => timers.mock.results.some(({ value }) => (value as NodeJS.Timeout).hasRef())
  void budget.take({ ...LONG, background: true })
  expect(isKept()).toBe(false)
  const controller = new AbortController()
  const foreground = budget.take({ ...LONG, signal: controller.signal })
  expect(isKept()).toBe(true)
  queueMicrotask(() => controller.abort(new Error('enough')))
  await expect(foreground).rejects.toThrow('enough')
  expect(isKept()).toBe(false)
  timers.mockRestore()
})

test('a crowd that retries against a dead server sends no more than its budget', async () => {
  const budget = new RetryBudget(10)
  let tries = 0
  const away = () => {
    tries++
    return Promise.reject(new LockServerUnavailableError('away'))
  }
  const calls = Array.from({ length: 500 }, () => retry(away, { giveUpMs: 30_000, budget }).catch(() => undefined))
  await vi.advanceTimersByTimeAsync(31_000)
  await Promise.all(calls)
  // The 500 first tries, the burst, what they deposited while it lasted, and ten a second.
  expect(tries - 500).toBeLessThanOrEqual(10 + 10 * 30 + 1)
  expect(tries - 500).toBeGreaterThan(250)
})
