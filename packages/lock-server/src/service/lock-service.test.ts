import { parseKey } from '@layerlock/protocol'
import { expect, test, vi } from 'vitest'
import { isOpen } from './clock.testbed.ts'
import { KEY, ServiceBed } from './service.testbed.ts'

const WAIT_MS = 25_000

test('acquire() holds a queued answer back until the ticket is granted', async () => {
  const bed = await ServiceBed.open()
  const [a, b] = [await bed.session('a'), await bed.session('b')]
  const lease = await bed.hold(a, 'a1')
  const parked = bed.ask(b, 'b1', { waitMs: WAIT_MS })
  expect(await isOpen(parked)).toBe(true)
  await bed.release(a, lease)
  expect(await parked).toMatchObject({ status: 'granted' })
  expect((await bed.record())?.holds[0]).toMatchObject({ ticket: 'b1', offerEndsMs: undefined })
})

test('acquire() answers all parked calls at once when the work is done', async () => {
  const bed = await ServiceBed.open()
  const a = await bed.session('a')
  const lease = await bed.hold(a, 'a1')
  const waiters = await Promise.all(['b', 'c', 'd'].map((node) => bed.session(node)))
  const parked = waiters.map((session, index) => bed.ask(session, `w${index}`, { waitMs: WAIT_MS }))
  expect(await isOpen(Promise.any(parked))).toBe(true)
  bed.store.swaps = 0
  await bed.complete(a, lease, true)
  const answers = await Promise.all(parked)
  expect(answers.map((answer) => answer.status)).toEqual(['done', 'done', 'done'])
  expect(bed.store.swaps).toBe(1)
})

test('acquire() wakes nobody but the next in line at a release', async () => {
  const bed = await ServiceBed.open()
  const [a, b, c] = [await bed.session('a'), await bed.session('b'), await bed.session('c')]
  const lease = await bed.hold(a, 'a1')
  const next = bed.ask(b, 'b1', { waitMs: WAIT_MS })
  const last = bed.ask(c, 'c1', { waitMs: WAIT_MS })
  await isOpen(last)
  await bed.release(a, lease)
  expect(await next).toMatchObject({ status: 'granted' })
  expect(await isOpen(last)).toBe(true)
  await bed.stop()
})

test('acquire() answers a parked call when its source changes, once', async () => {
  const bed = await ServiceBed.open()
  const a = await bed.session('a', { endpoint: 'http://a' })
  const b = await bed.session('b', { endpoint: 'http://b' })
  const c = await bed.session('c')
  await bed.hold(a, 'a1', { limit: 2 })
  await bed.hold(b, 'b1', { limit: 2 })
  expect(await bed.ask(c, 'c1', { limit: 2 })).toMatchObject({ source: { node: 'a' } })
  await bed.ask(await bed.session('d'), 'd1', { limit: 2 })
  const parked = bed.ask(c, 'c1', { limit: 2, waitMs: WAIT_MS })
  expect(await isOpen(parked)).toBe(true)
  const busy = bed.service.closeSession(a.id)
  await busy
  expect(await parked).toMatchObject({ status: 'granted' })
  await bed.stop()
})

test('acquire() tells a waiter that is not next of its new source', async () => {
  const bed = await ServiceBed.open()
  const [a, b] = [await bed.session('a', { endpoint: 'http://a' }), await bed.session('b', { endpoint: 'http://b' })]
  const c = await bed.session('c')
  await bed.hold(a, 'a1')
  await bed.ask(b, 'b1')
  expect(await bed.ask(c, 'c1')).toMatchObject({ status: 'queued', position: 2, source: { node: 'a' } })
  const parked = bed.ask(c, 'c1', { waitMs: WAIT_MS })
  expect(await isOpen(parked)).toBe(true)
  await bed.service.closeSession(a.id)
  expect(await parked).toMatchObject({ status: 'queued', position: 1, source: { node: 'b', endpoint: 'http://b' } })
  const again = bed.ask(c, 'c1', { waitMs: WAIT_MS })
  expect(await isOpen(again)).toBe(true)
})

test('acquire() answers queued when the time to wait is over, and the ticket keeps its place', async () => {
  const bed = await ServiceBed.open()
  const [a, b] = [await bed.session('a', { ttlMs: 60_000 }), await bed.session('b', { ttlMs: 60_000 })]
  await bed.hold(a, 'a1')
  const parked = bed.ask(b, 'b1', { waitMs: 5_000 })
  await bed.clock.pass(4_999)
  expect(await isOpen(parked)).toBe(true)
  await bed.clock.pass(1)
  expect(await parked).toMatchObject({ status: 'queued', position: 1 })
  expect(bed.service.parking.size).toBe(0)
})

test('acquire() does not take up an offer for a caller that has gone', async () => {
  const bed = await ServiceBed.open()
  const [a, b] = [await bed.session('a'), await bed.session('b')]
  const lease = await bed.hold(a, 'a1')
  const caller = new AbortController()
  const parked = bed.ask(b, 'b1', { waitMs: WAIT_MS, signal: caller.signal })
  await isOpen(parked)
  caller.abort()
  expect(await parked).toMatchObject({ status: 'queued' })
  await bed.release(a, lease)
  expect((await bed.record())?.holds[0]).toMatchObject({ ticket: 'b1', offerEndsMs: expect.any(Number) })
  expect(bed.service.parking.size).toBe(0)
})

test('acquire() misses no change that comes while its own answer is being decided', async () => {
  const bed = await ServiceBed.open()
  const [a, b] = [await bed.session('a'), await bed.session('b')]
  const lease = await bed.hold(a, 'a1')
  // While a first command runs, the two others queue up: they are decided together, one wake-up before the wait.
  const first = bed.service.execute(KEY, { op: 'tick' })
  const parked = bed.ask(b, 'b1', { waitMs: WAIT_MS })
  await Promise.all([first, bed.release(a, lease)])
  expect(await parked).toMatchObject({ status: 'granted' })
})

test('acquire() tells a parked call that its session has ended', async () => {
  const bed = await ServiceBed.open()
  const [a, b] = [await bed.session('a'), await bed.session('b')]
  await bed.hold(a, 'a1')
  const parked = bed.ask(b, 'b1', { waitMs: WAIT_MS })
  parked.catch(() => undefined)
  await isOpen(parked)
  await bed.service.closeSession(b.id)
  await expect(parked).rejects.toMatchObject({ code: 'session_expired' })
})

test('acquire() lets a parked ticket that was cancelled go', async () => {
  const bed = await ServiceBed.open()
  const [a, b] = [await bed.session('a'), await bed.session('b')]
  await bed.hold(a, 'a1')
  const parked = bed.ask(b, 'b1', { waitMs: WAIT_MS })
  parked.catch(() => undefined)
  await isOpen(parked)
  await bed.service.execute(KEY, { op: 'cancel', session: b.ref, ticket: 'b1' })
  await expect(parked).rejects.toMatchObject({ code: 'lease_lost' })
})

test('acquire() gives an offer that lapses to the next parked call, with no one asking', async () => {
  const bed = await ServiceBed.open({ offerMs: 1_000 })
  const [a, b, c] = [await bed.session('a'), await bed.session('b'), await bed.session('c')]
  const lease = await bed.hold(a, 'a1')
  await bed.ask(b, 'b1')
  const parked = bed.ask(c, 'c1', { waitMs: WAIT_MS })
  await bed.release(a, lease)
  expect(await isOpen(parked)).toBe(true)
  await bed.clock.pass(1_001)
  expect(await parked).toMatchObject({ status: 'granted' })
})

test('acquire() ends a hold that outlives its maxHoldMs, with no one asking', async () => {
  const bed = await ServiceBed.open()
  const [a, b] = [await bed.session('a'), await bed.session('b')]
  await bed.hold(a, 'a1', { maxHoldMs: 2_000 })
  const parked = bed.ask(b, 'b1', { waitMs: WAIT_MS })
  await bed.clock.pass(2_001)
  expect(await parked).toMatchObject({ status: 'granted', attempt: 2 })
})

test('show() holds the record back while the key is held, and shows it when it is free', async () => {
  const bed = await ServiceBed.open()
  const a = await bed.session('a')
  const lease = await bed.hold(a, 'a1')
  const parked = bed.service.show(KEY, { waitMs: WAIT_MS })
  expect(await isOpen(parked)).toBe(true)
  await bed.release(a, lease)
  expect(await parked).toMatchObject({ state: 'free' })
})

test('show() answers with the key still held when the time to wait is over', async () => {
  const bed = await ServiceBed.open()
  await bed.hold(await bed.session('a', { ttlMs: 60_000 }), 'a1')
  const parked = bed.service.show(KEY, { waitMs: 3_000 })
  await bed.clock.pass(3_000)
  expect(await parked).toMatchObject({ state: 'held' })
  expect(bed.service.parking.size).toBe(0)
})

test('reportProgress() shows how far holders and waiters are, until they are neither', async () => {
  const bed = await ServiceBed.open()
  const [a, b] = [await bed.session('a'), await bed.session('b')]
  const lease = await bed.hold(a, 'a1')
  await bed.ask(b, 'b1')
  await bed.service.reportProgress(KEY, a.ref, { fencingToken: lease.fencingToken, done: 5, total: 9 })
  await bed.service.reportProgress(KEY, b.ref, { ticket: 'b1', done: 2 })
  const shown = await bed.service.show(KEY, { waitMs: 0 })
  expect(shown).toMatchObject({ holders: [{ progress: { done: 5, total: 9 } }], queue: [{ progress: { done: 2 } }] })
  expect(await bed.ask(b, 'b1')).toMatchObject({ holder: { progress: { done: 5 } } })
  await bed.release(a, lease)
  const report = bed.service.reportProgress(KEY, a.ref, { fencingToken: lease.fencingToken, done: 6 })
  await expect(report).rejects.toMatchObject({ code: 'lease_lost' })
})

test('reportProgress() refuses a report that does not say whose it is', async () => {
  const bed = await ServiceBed.open()
  const a = await bed.session('a')
  await bed.hold(a, 'a1')
  const report = bed.service.reportProgress(KEY, a.ref, { done: 1 })
  await expect(report).rejects.toMatchObject({
    code: 'invalid_request',
    message: expect.stringMatching(/fencingToken/),
  })
})

test('updateCopies() lists and withdraws the copies of a session', async () => {
  const bed = await ServiceBed.open()
  const [a, b] = [await bed.session('a', { endpoint: 'http://a' }), await bed.session('b')]
  const keys = ['blob/1', 'blob/2'].map(parseKey)
  expect(await bed.service.updateCopies(a.ref, keys, [])).toEqual({ added: 2, removed: 0 })
  for (const [index, key] of keys.entries()) {
    expect(await bed.ask(b, `b${index}`, { key })).toMatchObject({ status: 'done', copies: [{ node: 'a' }] })
  }
  await bed.service.updateCopies(a.ref, [], keys.slice(1))
  expect(await bed.ask(b, 'b3', { key: keys[0]! })).toMatchObject({ status: 'done' })
  expect(await bed.ask(b, 'b4', { key: keys[1]! })).toMatchObject({ status: 'granted' })
})

test('a release hands the key to the next parked waiter with the same write, and wakes nobody else', async () => {
  const bed = await ServiceBed.open()
  const [a, b, c] = [await bed.session('a'), await bed.session('b'), await bed.session('c')]
  const lease = await bed.hold(a, 'a1')
  const next = bed.ask(b, 'b1', { waitMs: WAIT_MS })
  const last = bed.ask(c, 'c1', { waitMs: WAIT_MS })
  expect(await isOpen(last)).toBe(true)
  const before = bed.store.swaps
  await bed.release(a, lease)
  expect(await next).toMatchObject({ status: 'granted', attempt: 1 })
  expect(bed.store.swaps - before).toBe(1)
  expect((await bed.record())?.holds).toMatchObject([{ ticket: 'b1', offerEndsMs: undefined }])
  expect(await isOpen(last)).toBe(true)
})

test('a write that fails hands nothing on, and the parked waiter goes on waiting', async () => {
  const bed = await ServiceBed.open()
  const [a, b] = [await bed.session('a'), await bed.session('b')]
  const lease = await bed.hold(a, 'a1')
  const next = bed.ask(b, 'b1', { waitMs: WAIT_MS })
  expect(await isOpen(next)).toBe(true)
  bed.store.failing = true
  await expect(bed.release(a, lease)).rejects.toMatchObject({ code: 'overloaded' })
  expect(await isOpen(next)).toBe(true)
  bed.store.failing = false
  await bed.release(a, lease)
  expect(await next).toMatchObject({ status: 'granted' })
})

test('the tally counts what there is, also after a restart', async () => {
  const bed = await ServiceBed.open()
  const [a, b] = [await bed.session('a'), await bed.session('b')]
  const lease = await bed.hold(a, 'a1')
  await bed.ask(b, 'b1')
  await bed.ask(b, 'b2', { key: parseKey('other') })
  expect(bed.service.tally).toMatchObject({ keys: 2, holds: 2, waiters: 1, outcomes: 0, copies: 0 })
  await bed.complete(a, lease, true)
  expect(bed.service.tally).toMatchObject({ keys: 2, holds: 1, waiters: 0, outcomes: 1, copies: 1 })
  await bed.stop()
  await bed.start()
  expect(bed.service.tally).toMatchObject({ keys: 2, holds: 1, waiters: 0, outcomes: 1, copies: 1 })
  await bed.clock.pass(600_000)
  expect(bed.service.tally).toMatchObject({ keys: 0, holds: 0, waiters: 0, outcomes: 0, copies: 0 })
})

test('a key or a session more than is allowed is refused, and those that are there are served', async () => {
  const bed = await ServiceBed.open({}, { maxKeys: 2, maxSessions: 1 })
  const a = await bed.session('a')
  await expect(bed.session('b')).rejects.toMatchObject({
    code: 'overloaded',
    message: expect.stringMatching(/^1 sessions/) as string,
  })
  const [one, two, three] = ['one', 'two', 'three'].map(parseKey)
  const lease = await bed.hold(a, 't1', { key: one! })
  await bed.hold(a, 't2', { key: two! })
  await expect(bed.ask(a, 't3', { key: three! })).rejects.toMatchObject({
    code: 'overloaded',
    message: expect.stringMatching(/^key: 2 keys/) as string,
  })
  await expect(bed.service.updateCopies(a.ref, [three!], [])).rejects.toMatchObject({ code: 'overloaded' })
  await bed.service.execute(one!, { op: 'release', session: a.ref, fencingToken: lease.fencingToken })
  // Remembered for a while: a repeated request still has to change nothing.
  await bed.clock.pass(60_000)
  expect(bed.service.tally.keys).toBe(0)
})

test('a lease whose caller goes while it is written down is an offer again, and then the next one has it', async () => {
  const bed = await ServiceBed.open()
  const [a, b, c] = [await bed.session('a'), await bed.session('b', { ttlMs: 600_000 }), await bed.session('c')]
  const lease = await bed.hold(a, 'a1')
  const caller = new AbortController()
  const parked = bed.ask(b, 'b1', { waitMs: WAIT_MS, signal: caller.signal })
  expect(await isOpen(parked)).toBe(true)
  await bed.ask(c, 'c1')
  const swap = bed.store.swap.bind(bed.store)
  bed.store.swap = (...change) => {
    caller.abort()
    return swap(...change)
  }
  await bed.release(a, lease)
  await parked
  bed.store.swap = swap
  await vi.waitFor(async () =>
    expect((await bed.record())?.holds).toMatchObject([{ ticket: 'b1', offerEndsMs: expect.any(Number) as number }]),
  )
  await bed.clock.pass(10_001)
  expect((await bed.record())?.holds).toMatchObject([{ ticket: 'c1' }])
})

test('a lease whose caller has gone before the answer is an offer again', async () => {
  const bed = await ServiceBed.open()
  const b = await bed.session('b')
  const caller = new AbortController()
  const asked = bed.ask(b, 'b1', { waitMs: WAIT_MS, signal: caller.signal })
  caller.abort()
  await asked
  expect((await bed.record())?.holds).toMatchObject([{ ticket: 'b1', offerEndsMs: expect.any(Number) as number }])
  expect(await bed.ask(b, 'b1')).toMatchObject({ status: 'granted' })
  expect((await bed.record())?.holds).toMatchObject([{ ticket: 'b1', offerEndsMs: undefined }])
})
