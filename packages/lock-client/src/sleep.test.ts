import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { orAborted, sleep } from './sleep.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

test('sleep() resolves after its time and not before', async () => {
  let awake = false
  const sleeping = sleep(1_000).then(() => (awake = true))
  await vi.advanceTimersByTimeAsync(999)
  expect(awake).toBe(false)
  await vi.advanceTimersByTimeAsync(1)
  expect(await sleeping).toBe(true)
})

test('sleep() rejects with the reason when it is aborted, and leaves no timer', async () => {
  const controller = new AbortController()
  const sleeping = sleep(1_000, { signal: controller.signal })
  const reason = new Error('enough')
  controller.abort(reason)
  await expect(sleeping).rejects.toBe(reason)
  expect(vi.getTimerCount()).toBe(0)
  await expect(sleep(1_000, { signal: controller.signal })).rejects.toBe(reason)
})

test('sleep() makes an error of a reason that is none', async () => {
  await expect(sleep(1_000, { signal: AbortSignal.abort('enough') })).rejects.toMatchObject({
    name: 'AbortError',
    message: 'enough',
  })
})

test('orAborted() gives what the promise gives, or the reason of the signal if that is first', async () => {
  const controller = new AbortController()
  expect(await orAborted(Promise.resolve(1), controller.signal)).toBe(1)
  const never = orAborted(new Promise(() => undefined), controller.signal)
  const reason = new Error('enough')
  controller.abort(reason)
  await expect(never).rejects.toBe(reason)
})
