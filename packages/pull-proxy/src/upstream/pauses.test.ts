import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { OciError } from '../oci/oci-error.ts'
import { failureOf } from '../failure-of.testbed.ts'
import { Patience, type Pause, Pauses, type ToldPause } from './pauses.ts'

const { signal } = new AbortController()
const message = 'slow down'
const alice = { id: 'alice', authorization: 'Basic YQ==' }
const bob = { id: 'bob', authorization: 'Basic Yg==' }
const anonymous = { id: 'anonymous', authorization: undefined }

beforeEach(() => {
  vi.useFakeTimers()
})

afterEach(() => {
  vi.useRealTimers()
})

/** What one node knows, what it tells the others, and what they have told. */
function create(asked?: ToldPause) {
  const told: { pause: Pause; retainMs: number }[] = []
  const pauses = new Pauses({
    tell: (pause, retainMs) => {
      told.push({ pause, retainMs })
      return Promise.resolve()
    },
    ask: () => Promise.resolve(asked),
  })
  return { pauses, told }
}

test('a long pause is told at once, with what is left of it', async () => {
  const { pauses, told } = create()
  pauses.limited(undefined, { retryAfterMs: 60_000, message }, performance.now())
  vi.advanceTimersByTime(10_000)
  const refused = (await failureOf(pauses.sitOut(undefined, new Patience(), signal))) as OciError
  expect(refused).toMatchObject({ code: 'TOOMANYREQUESTS', message, retryAfterMs: 50_000 })
  expect(told).toEqual([{ pause: { retryAfterMs: 60_000, message }, retainMs: 70_000 }])
})

test('a short pause is sat out, and no more of them than there is patience for', async () => {
  vi.useRealTimers()
  const { pauses } = create()
  const patience = new Patience(150)
  const limit = () => pauses.limited(undefined, { retryAfterMs: 100, message }, 0)
  limit()
  await pauses.sitOut(undefined, patience, signal)
  expect(pauses.isOn(undefined)).toBe(false)
  limit()
  await expect(pauses.sitOut(undefined, patience, signal)).rejects.toMatchObject({ code: 'TOOMANYREQUESTS' })
  expect(pauses.isOn(undefined)).toBe(true)
})

test('those who have waited go on one after the other', async () => {
  vi.useRealTimers()
  const { pauses } = create()
  pauses.limited(undefined, { retryAfterMs: 200, message }, 0)
  const times = new Set<number>()
  const wait = async () => {
    await pauses.sitOut(undefined, new Patience(), signal)
    times.add(Math.floor(performance.now()))
  }
  await Promise.all(Array.from({ length: 20 }, wait))
  expect(times.size).toBeGreaterThan(5)
})

test.each([undefined, 0])('a pause of %j is one of two seconds', (retryAfterMs) => {
  expect(create().pauses.limited(undefined, { retryAfterMs, message }, 0)).toEqual({ retryAfterMs: 2_000, message })
})

test('becomes twice as long each time that upstream goes on limiting after it, not with what was on its way', () => {
  const { pauses } = create()
  const lengths = [4_000, 8_000, 16_000, 32_000, 60_000, 60_000]
  const sentAtMs = performance.now()
  for (let nth = 0; nth < 3; nth++) {
    expect(pauses.limited(undefined, { message }, sentAtMs)).toMatchObject({ retryAfterMs: 2_000 })
  }
  vi.advanceTimersByTime(2_000)
  for (const length of lengths) {
    const laterMs = performance.now()
    expect(pauses.limited(undefined, { message }, laterMs)).toMatchObject({ retryAfterMs: length })
    vi.advanceTimersByTime(length)
  }
  vi.advanceTimersByTime(10_001)
  expect(pauses.limited(undefined, { message }, performance.now())).toMatchObject({ retryAfterMs: 2_000 })
})

test('what another node was told holds here too, also when it is over and comes again', async () => {
  const on = create({ retryAfterMs: 60_000, ageMs: 10_000, message })
  await on.pauses.learn()
  expect(on.pauses.isOn(undefined)).toBe(true)
  expect(on.pauses.isOn(alice)).toBe(true)
  const over = create({ retryAfterMs: 4_000, ageMs: 5_000, message })
  await over.pauses.learn()
  expect(over.pauses.isOn(undefined)).toBe(false)
  expect(over.pauses.limited(undefined, { message }, performance.now())).toMatchObject({ retryAfterMs: 8_000 })
})

test('the pause of a visitor is that of nobody else, and stays on this node', () => {
  const { pauses, told } = create()
  pauses.limited(alice, { retryAfterMs: 60_000, message }, performance.now())
  expect([alice, bob, undefined].map((visitor) => pauses.isOn(visitor))).toEqual([true, false, false])
  expect(told).toEqual([])
  vi.advanceTimersByTime(60_001)
  pauses.limited(bob, { retryAfterMs: 60_000, message }, performance.now())
  expect(pauses.isOn(alice)).toBe(false)
})

test('visitors that are limited, or one without credentials, make nobody else wait', () => {
  const { pauses, told } = create()
  for (const visitor of [alice, bob, anonymous])
    pauses.limited(visitor, { retryAfterMs: 60_000, message }, performance.now())
  expect(pauses.isOn({ id: 'carol', authorization: 'Basic Yw==' })).toBe(false)
  expect(told).toEqual([])
})

test('a pause whose length upstream has named is never longer', () => {
  const { pauses } = create()
  for (let time = 0; time < 5; time++) {
    expect(pauses.limited(undefined, { retryAfterMs: 1_000, message }, performance.now()).retryAfterMs).toBe(1_000)
    vi.advanceTimersByTime(1_001)
  }
})

test('an answer after a pause makes the next one short again', () => {
  const { pauses } = create()
  const limited = () => pauses.limited(undefined, { message }, performance.now()).retryAfterMs
  const first = limited()
  vi.advanceTimersByTime(first + 1)
  expect(limited()).toBe(2 * first)
  // One that was sent before it was over says nothing.
  pauses.succeeded(undefined, performance.now())
  vi.advanceTimersByTime(2 * first + 1)
  expect(limited()).toBe(4 * first)
  vi.advanceTimersByTime(4 * first + 1)
  pauses.succeeded(undefined, performance.now())
  expect(limited()).toBe(first)
})

test('a shorter pause does not end a longer one', () => {
  const { pauses } = create()
  pauses.limited(undefined, { retryAfterMs: 60_000, message }, performance.now())
  pauses.limited(undefined, { retryAfterMs: 1_000, message }, performance.now())
  vi.advanceTimersByTime(30_000)
  expect(pauses.isOn(undefined)).toBe(true)
})
