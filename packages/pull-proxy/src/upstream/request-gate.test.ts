import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { failureOf } from '../failure-of.testbed.ts'
import { type OciError } from '../oci/oci-error.ts'
import { type Pause, type Place, RequestGate } from './request-gate.ts'

const { signal } = new AbortController()

/** Places that are counted, and whatever is answered instead of the first ones. */
function createPlaces(...answers: Pause[]) {
  const told: Pause[] = []
  const counts = { taken: 0, left: 0 }
  const place: Place = {
    limited: (pause) => {
      told.push(pause)
      return Promise.resolve()
    },
    leave: () => {
      counts.left++
      return Promise.resolve()
    },
  }
  const takePlace = () => {
    const answer = answers.shift()
    if (answer === undefined) counts.taken++
    return Promise.resolve(answer ?? place)
  }
  return { takePlace, told, counts }
}

test('lets in no more than its concurrency, and the next one when someone leaves', async () => {
  const { takePlace, counts } = createPlaces()
  const gate = new RequestGate({ upstream: 'docker.io', concurrency: 2, takePlace })
  const [first] = await Promise.all([gate.enter(undefined, signal), gate.enter(undefined, signal)])
  const third = gate.enter(undefined, signal)
  await new Promise(setImmediate)
  expect(counts).toEqual({ taken: 2, left: 0 })
  first.leave()
  first.leave()
  await third
  expect(counts).toEqual({ taken: 3, left: 1 })
})

test('leaves when the body is over, also when that was before', async () => {
  const { takePlace, counts } = createPlaces()
  const gate = new RequestGate({ upstream: 'docker.io', concurrency: 1, takePlace })
  const bodies = [new PassThrough(), new PassThrough(), new PassThrough()] as const
  const [ended, destroyed, over] = bodies
  over.destroy()
  for (const body of bodies) {
    const passage = await gate.enter(undefined, signal)
    passage.leaveAfter(body)
    if (body === ended) ended.end().resume()
    else destroyed.destroy()
  }
  await gate.enter(undefined, signal)
  expect(counts).toEqual({ taken: 4, left: 3 })
})

test('who gives up while it waits takes no slot from the others', async () => {
  const { takePlace, counts } = createPlaces()
  const gate = new RequestGate({ upstream: 'docker.io', concurrency: 1, takePlace })
  const first = await gate.enter(undefined, signal)
  const stop = new AbortController()
  const reason = new Error('gone')
  const waiting = failureOf(gate.enter(undefined, stop.signal))
  const next = gate.enter(undefined, signal)
  stop.abort(reason)
  expect(await waiting).toBe(reason)
  first.leave()
  await next
  expect(counts.taken).toBe(2)
  await expect(gate.enter(undefined, AbortSignal.abort(reason))).rejects.toBe(reason)
})

test('after a long pause was asked for, all are refused at once, with what is left of it', async () => {
  const { takePlace, told, counts } = createPlaces()
  const gate = new RequestGate({ upstream: 'docker.io', concurrency: 1, takePlace })
  const passage = await gate.enter(undefined, signal)
  passage.limited({ retryAfterMs: 60_000, message: 'slow down' })
  passage.leave()
  expect(told).toEqual([{ retryAfterMs: 60_000, message: 'slow down' }])
  const refused = (await failureOf(gate.enter(undefined, signal))) as OciError
  expect(refused).toMatchObject({ code: 'TOOMANYREQUESTS', message: 'slow down' })
  expect(refused.retryAfterMs).toBeGreaterThan(59_000)
  expect(refused.retryAfterMs).toBeLessThanOrEqual(60_000)
  // The slot is free again, and the cluster was not asked in vain.
  expect(counts).toEqual({ taken: 1, left: 0 })
})

test('a short pause is sat out', async () => {
  const { takePlace, counts } = createPlaces()
  const gate = new RequestGate({ upstream: 'docker.io', concurrency: 4, takePlace })
  const startMs = performance.now()
  ;(await gate.enter(undefined, signal)).limited({ retryAfterMs: 100, message: 'slow down' })
  await Promise.all([gate.enter(undefined, signal), gate.enter(undefined, signal)])
  expect(performance.now() - startMs).toBeGreaterThanOrEqual(99)
  expect(counts.taken).toBe(3)
})

test('what another node was told holds here too', async () => {
  const { takePlace, counts } = createPlaces({ retryAfterMs: 60_000, message: 'slow down' })
  const gate = new RequestGate({ upstream: 'docker.io', concurrency: 4, takePlace })
  await expect(gate.enter(undefined, signal)).rejects.toMatchObject({ code: 'TOOMANYREQUESTS', message: 'slow down' })
  await expect(gate.enter(undefined, signal)).rejects.toMatchObject({ code: 'TOOMANYREQUESTS' })
  expect(counts.taken).toBe(0)
})

test('the pause of one visitor is not that of another', async () => {
  const { takePlace } = createPlaces()
  const gate = new RequestGate({ upstream: 'docker.io', concurrency: 4, takePlace })
  ;(await gate.enter('alice', signal)).limited({ retryAfterMs: 60_000, message: 'slow down' })
  await expect(gate.enter('alice', signal)).rejects.toMatchObject({ code: 'TOOMANYREQUESTS' })
  expect(await gate.enter('bob', signal)).toBeDefined()
})
