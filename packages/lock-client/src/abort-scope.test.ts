import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { AbortScope } from './abort-scope.ts'
import { LockClient } from './lock-client.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

test('AbortScope is aborted with the reason of the first of its signals', () => {
  const [first, second] = [new AbortController(), new AbortController()]
  using scope = new AbortScope([first.signal, undefined, second.signal], 1_000)
  const reason = new Error('enough')
  second.abort(reason)
  first.abort(new Error('too late'))
  expect(scope.signal.reason).toBe(reason)
  vi.advanceTimersByTime(1_000)
  expect(scope.isTimedOut).toBe(false)
  using late = new AbortScope([second.signal])
  expect(late.signal.reason).toBe(reason)
})

test('AbortScope is aborted when its time is over', () => {
  using scope = new AbortScope([], 1_000)
  vi.advanceTimersByTime(999)
  expect(scope.signal.aborted).toBe(false)
  vi.advanceTimersByTime(1)
  expect(scope.signal.reason).toMatchObject({ name: 'TimeoutError' })
  expect(scope.isTimedOut).toBe(true)
})

test('AbortScope leaves neither a timer nor a listener behind, and its timer keeps no process alive', () => {
  const timers = vi.spyOn(globalThis, 'setTimeout')
  const { signal } = new AbortController()
  const added = vi.spyOn(signal, 'addEventListener')
  const removed = vi.spyOn(signal, 'removeEventListener')
  {
    using scope = new AbortScope([signal], 1_000)
    expect(scope.signal.aborted).toBe(false)
    expect(timers.mock.results.map(({ value }) => (value as NodeJS.Timeout).hasRef())).toEqual([false])
  }
  expect(vi.getTimerCount()).toBe(0)
  expect(removed.mock.calls.map(([, listener]) => listener)).toEqual(added.mock.calls.map(([, listener]) => listener))
})

test('a call with timeoutMs that is over leaves no time limit behind', async () => {
  const record = { key: 'k', state: 'free', limit: 1, holders: [], queue: [], holderCount: 0, queueLength: 0 }
  const unclearable = vi.spyOn(AbortSignal, 'timeout')
  const locks = new LockClient({ url: 'http://host', fetch: () => Promise.resolve(Response.json(record)) })
  await locks.wait('k', { timeoutMs: 3_600_000 })
  expect(vi.getTimerCount()).toBe(0)
  expect(unclearable).not.toHaveBeenCalled()
})
