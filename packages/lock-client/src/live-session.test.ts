import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { LiveSession } from './live-session.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function open(sentAtMs = performance.now()): LiveSession {
  return new LiveSession({ id: 's', ttlMs: 10_000, resumed: false }, sentAtMs)
}

test('LiveSession ends a safety margin before its TTL is over, needing no answer', async () => {
  const session = open()
  await vi.advanceTimersByTimeAsync(8_990)
  expect(session.signal.aborted).toBe(false)
  await vi.advanceTimersByTimeAsync(20)
  expect(session.signal.aborted).toBe(true)
  expect(session.signal.reason).toMatchObject({ code: 'session_expired' })
})

test('LiveSession counts from when the renewal was sent, not from when it was answered', async () => {
  const session = open()
  const sentAtMs = performance.now()
  await vi.advanceTimersByTimeAsync(4_000)
  session.renewed(sentAtMs)
  await vi.advanceTimersByTimeAsync(4_990)
  expect(session.isLive()).toBe(true)
  await vi.advanceTimersByTimeAsync(20)
  expect(session.isLive()).toBe(false)
})

test('LiveSession knows that it is over although no timer has run', () => {
  const session = open()
  // Time that passes without the event loop: the process was stopped, or computed all the while.
  vi.setSystemTime(Date.now() + 9_001)
  vi.spyOn(performance, 'now').mockReturnValue(performance.now() + 9_001)
  expect(session.signal.aborted).toBe(false)
  expect(session.isLive()).toBe(false)
  expect(session.signal.aborted).toBe(true)
  vi.restoreAllMocks()
})

test('LiveSession ends at its deadline although its timer has fired too early', async () => {
  const session = open()
  const now = performance.now.bind(performance)
  // What a timer counts from is the start of the tick that set it, here 50 ms before.
  vi.spyOn(performance, 'now').mockImplementation(() => now() - 50)
  await vi.advanceTimersByTimeAsync(9_010)
  expect(session.signal.aborted).toBe(false)
  await vi.advanceTimersByTimeAsync(50)
  expect(session.signal.aborted).toBe(true)
  vi.restoreAllMocks()
})

test('LiveSession tells of a renewal only those who asked before it was sent', async () => {
  const session = open()
  const told: string[] = []
  const wait = (name: string) => void session.nextRenewal().then(() => told.push(name))
  wait('before')
  await vi.advanceTimersByTimeAsync(1)
  const parkedAtMs = performance.now()
  await vi.advanceTimersByTimeAsync(1)
  wait('meanwhile')
  await vi.advanceTimersByTimeAsync(1)
  session.renewed(parkedAtMs)
  await vi.advanceTimersByTimeAsync(0)
  expect(told).toEqual(['before'])
  session.renewed(performance.now())
  await vi.advanceTimersByTimeAsync(0)
  expect(told).toEqual(['before', 'meanwhile'])
})

test('LiveSession is not brought back by a renewal that is answered too late', async () => {
  const session = open()
  await vi.advanceTimersByTimeAsync(9_010)
  session.renewed(performance.now())
  expect(session.isLive()).toBe(false)
})
