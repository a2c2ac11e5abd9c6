import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { failureOf } from '../failure-of.testbed.ts'
import type { SharedPauses, ToldPause } from './pauses.ts'
import { type Place, RequestGate } from './request-gate.ts'

const { signal } = new AbortController()
const body = { lane: 'bodies', signal } as const
const limited = { retryAfterMs: 60_000, message: 'slow down' }

/** A gate with places that are counted, and a cluster that knows of pauses. */
function createGate(concurrency: number, { waited = false, told = [] as (ToldPause | undefined)[] } = {}) {
  const counts = { taken: 0, left: 0, asked: 0 }
  const place: Place = {
    waited,
    leave: () => {
      counts.left++
      return Promise.resolve()
    },
  }
  const takePlace = () => {
    counts.taken++
    return Promise.resolve(place)
  }
  const pauses: SharedPauses = {
    tell: () => Promise.resolve(),
    ask: () => {
      counts.asked++
      return Promise.resolve(told.shift())
    },
  }
  return { gate: new RequestGate({ concurrency, takePlace, pauses }), counts }
}

test('lets in no more than its concurrency, and the next one when someone leaves', async () => {
  const { gate, counts } = createGate(2)
  const [first] = await Promise.all([gate.enter(body), gate.enter(body)])
  const third = gate.enter(body)
  await new Promise(setImmediate)
  expect(counts).toMatchObject({ taken: 2, left: 0 })
  first.leave()
  first.leave()
  await third
  expect(counts).toMatchObject({ taken: 3, left: 1 })
})

test('lets in what is small while all slots for bodies are taken, without a place', async () => {
  const { gate, counts } = createGate(1)
  await gate.enter(body)
  await gate.enter({ signal })
  expect(counts.taken).toBe(1)
})

test('leaves when the body is over, also when that was before', async () => {
  const { gate, counts } = createGate(1)
  const bodies = [new PassThrough(), new PassThrough(), new PassThrough()] as const
  const [ended, destroyed, over] = bodies
  over.destroy()
  for (const each of bodies) {
    const passage = await gate.enter(body)
    passage.leaveAfter(each)
    if (each === ended) ended.end().resume()
    else destroyed.destroy()
  }
  await gate.enter(body)
  expect(counts).toMatchObject({ taken: 4, left: 3 })
})

test('who gives up while it waits takes no slot from the others', async () => {
  const { gate, counts } = createGate(1)
  const first = await gate.enter(body)
  const stop = new AbortController()
  const reason = new Error('gone')
  const waiting = failureOf(gate.enter({ ...body, signal: stop.signal }))
  const next = gate.enter(body)
  stop.abort(reason)
  expect(await waiting).toBe(reason)
  first.leave()
  await next
  expect(counts.taken).toBe(2)
  await expect(gate.enter({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
})

test('who waits for the end of a pause takes no slot from those whom it does not concern', async () => {
  const { gate } = createGate(1)
  const alice = { id: 'alice', authorization: 'Basic YQ==' }
  const bob = { id: 'bob', authorization: 'Basic Yg==' }
  ;(await gate.enter({ visitor: alice, signal })).limited({ retryAfterMs: 4_000, message: 'slow down' })
  const stop = new AbortController()
  const waiting = failureOf(gate.enter({ visitor: alice, signal: stop.signal }))
  await gate.enter({ visitor: bob, signal })
  stop.abort(new Error('gone'))
  expect(await waiting).toMatchObject({ message: 'gone' })
})

test('who is limited leaves, and nobody asks the cluster in vain while that lasts', async () => {
  const { gate, counts } = createGate(1)
  const passage = await gate.enter(body)
  expect(passage.limited(limited)).toEqual(limited)
  await expect(gate.enter(body)).rejects.toMatchObject({ code: 'TOOMANYREQUESTS' })
  expect(counts).toEqual({ taken: 1, left: 1, asked: 1 })
})

test('what another node was told holds here too, and costs no slot', async () => {
  const { gate, counts } = createGate(1, { told: [{ ...limited, ageMs: 0 }] })
  for (const entry of [body, body, { signal }]) {
    await expect(gate.enter(entry)).rejects.toMatchObject({ code: 'TOOMANYREQUESTS', message: 'slow down' })
  }
  expect(counts).toEqual({ taken: 1, left: 1, asked: 1 })
})

test('who has waited for a place looks again whether there is a pause', async () => {
  const { gate, counts } = createGate(1, { waited: true, told: [undefined, { ...limited, ageMs: 0 }] })
  await expect(gate.enter(body)).rejects.toMatchObject({ code: 'TOOMANYREQUESTS' })
  expect(counts).toEqual({ taken: 1, left: 1, asked: 2 })
})

test('who has been answered leaves, but not before a body that is still to come', async () => {
  const { gate, counts } = createGate(1)
  ;(await gate.enter(body)).succeeded()
  const passage = await gate.enter(body)
  const coming = new PassThrough()
  passage.leaveAfter(coming)
  passage.succeeded()
  expect(counts.left).toBe(1)
  coming.destroy()
  await gate.enter(body)
  expect(counts.left).toBe(2)
})
