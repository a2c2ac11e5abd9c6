import { parseKey } from '@layerlock/protocol'
import { expect, test } from 'vitest'
import { isOpen } from './clock.testbed.ts'
import { KEY, ServiceBed } from './service.testbed.ts'

test('a restart keeps leases, the order of the queue, and tokens that grow', async () => {
  const bed = await ServiceBed.open()
  const sessions = [await bed.session('a'), await bed.session('b'), await bed.session('c')] as const
  const [a, b, c] = sessions
  const lease = await bed.hold(a, 'a1')
  await bed.ask(b, 'b1')
  await bed.ask(c, 'c1')
  await bed.stop()
  await bed.start()
  expect(await bed.ask(a, 'a1')).toEqual(lease)
  expect(await bed.ask(c, 'c1')).toMatchObject({ status: 'queued', position: 2 })
  await bed.release(a, lease)
  const next = await bed.hold(b, 'b1')
  expect(next.fencingToken).toBeGreaterThan(lease.fencingToken)
})

test('a restart keeps outcomes, and copies that live', async () => {
  const bed = await ServiceBed.open()
  const a = await bed.session('a', { endpoint: 'http://a' })
  const lease = await bed.hold(a, 'a1')
  await bed.complete(a, lease, true)
  await bed.stop()
  await bed.start()
  const b = await bed.session('b')
  expect(await bed.ask(b, 'b1')).toMatchObject({
    status: 'done',
    fencingToken: lease.fencingToken,
    copies: [{ node: 'a', endpoint: 'http://a' }],
  })
})

test('a restart gives sessions their full TTL from then on, for the silence was the server', async () => {
  const bed = await ServiceBed.open()
  const a = await bed.session('a', { ttlMs: 3_000 })
  const lease = await bed.hold(a, 'a1')
  await bed.clock.pass(2_900)
  await bed.stop()
  await bed.clock.pass(60_000)
  await bed.start()
  await bed.clock.pass(2_999)
  expect(await bed.ask(a, 'a1')).toEqual(lease)
  const b = await bed.session('b', { ttlMs: 60_000 })
  const parked = bed.ask(b, 'b1', { waitMs: 25_000 })
  expect(await isOpen(parked)).toBe(true)
  await bed.clock.pass(1)
  expect(await parked).toMatchObject({ status: 'granted', attempt: 2 })
})

test('a restart ends what belongs to sessions that are not there any more', async () => {
  const bed = await ServiceBed.open()
  const [a, b] = [await bed.session('a'), await bed.session('b')]
  await bed.hold(a, 'a1')
  await bed.ask(b, 'b1')
  await bed.stop()
  await bed.store.deleteSession(a.id)
  await bed.start()
  expect(await bed.ask(b, 'b1')).toMatchObject({ status: 'granted', attempt: 2 })
})

test('a restart lets time go on: what was to end after it ends, with no one asking', async () => {
  const bed = await ServiceBed.open()
  const [a, b] = [await bed.session('a'), await bed.session('b')]
  await bed.hold(a, 'a1', { maxHoldMs: 5_000 })
  await bed.ask(b, 'b1')
  await bed.stop()
  await bed.start()
  await bed.clock.pass(5_001)
  expect((await bed.record())?.holds[0]).toMatchObject({ ticket: 'b1' })
})

test('a restart gives offers their full time again, for nobody could take one up', async () => {
  const bed = await ServiceBed.open({ offerMs: 2_000 })
  const [a, b, c] = [await bed.session('a'), await bed.session('b'), await bed.session('c')]
  const lease = await bed.hold(a, 'a1')
  await bed.ask(b, 'b1')
  await bed.ask(c, 'c1')
  await bed.release(a, lease)
  await bed.stop()
  await bed.clock.pass(60_000)
  await bed.start()
  await bed.clock.pass(1_500)
  expect(await bed.ask(b, 'b1')).toMatchObject({ status: 'granted' })
})

test('a restart keeps offers although the session of another one is gone', async () => {
  const bed = await ServiceBed.open({ offerMs: 2_000 })
  const [a, b] = [await bed.session('a'), await bed.session('b')]
  const lease = await bed.hold(a, 'a1', { limit: 2 })
  await bed.hold(await bed.session('x'), 'x1', { limit: 2 })
  await bed.ask(b, 'b1', { limit: 2 })
  await bed.release(a, lease)
  await bed.stop()
  const gone = (await bed.store.sessions()).find(({ node }) => node === 'x')
  await bed.store.deleteSession(gone!.id)
  await bed.clock.pass(60_000)
  await bed.start()
  expect(await bed.ask(b, 'b1', { limit: 2 })).toMatchObject({ status: 'granted' })
})

test('tokens grow over a restart although the record that had them is gone', async () => {
  const bed = await ServiceBed.open({ endedMs: 1_000 })
  const a = await bed.session('a', { ttlMs: 60_000 })
  const lease = await bed.hold(a, 'a1')
  await bed.release(a, lease)
  await bed.clock.pass(1_001)
  expect(await bed.record()).toBeUndefined()
  await bed.stop()
  bed.clock.wallMicros = () => 0
  await bed.start()
  expect((await bed.hold(a, 'a2')).fencingToken).toBeGreaterThan(lease.fencingToken)
})

test('tokens go on from the wall clock when the store was wiped', async () => {
  const bed = await ServiceBed.open()
  const lease = await bed.hold(await bed.session('a'), 'a1')
  await bed.clock.pass(1)
  const wiped = await ServiceBed.open()
  await wiped.clock.pass(1)
  expect((await wiped.hold(await wiped.session('a'), 'a1')).fencingToken).toBeGreaterThan(lease.fencingToken)
})

test('a restart takes up more records than one page of the store has', async () => {
  const bed = await ServiceBed.open()
  const a = await bed.session('a')
  const keys = Array.from({ length: 1_001 }, (_, index) => parseKey(`key/${index}`))
  await bed.service.updateCopies(a.ref, keys, [])
  await bed.stop()
  await bed.start()
  await bed.service.closeSession(a.id)
  expect(await bed.record(keys.at(-1))).toBeUndefined()
  expect(await bed.store.list({ prefix: '', limit: 10 })).toEqual([])
})

test('a record stays untouched by a restart when nothing is due', async () => {
  const bed = await ServiceBed.open()
  await bed.hold(await bed.session('a'), 'a1')
  const before = await bed.record()
  await bed.stop()
  await bed.start()
  expect(await bed.record(KEY)).toBe(before)
})

test('an offer that a restart makes lapses in its time, although nothing had a deadline before', async () => {
  const bed = await ServiceBed.open()
  const [a, b, c] = [await bed.session('a'), await bed.session('b'), await bed.session('c', { ttlMs: 600_000 })]
  await bed.hold(a, 'a1')
  await bed.ask(b, 'b1')
  await bed.ask(c, 'c1')
  await bed.stop()
  // The crash came between the end of the session and what it meant for the key.
  await bed.store.deleteSession(a.id)
  await bed.start()
  expect((await bed.record())?.holds).toMatchObject([{ ticket: 'b1', offerEndsMs: expect.any(Number) as number }])
  await bed.clock.pass(10_001)
  expect((await bed.record())?.holds).toMatchObject([{ ticket: 'c1' }])
})

test('a start that takes long costs no session its life', async () => {
  const bed = await ServiceBed.open()
  const a = await bed.session('a', { ttlMs: 1_000 })
  const lease = await bed.hold(a, 'a1')
  await bed.stop()
  const list = bed.store.list.bind(bed.store)
  bed.store.list = async (range) => {
    await bed.clock.pass(999)
    return list(range)
  }
  await bed.start()
  await bed.clock.pass(999)
  await bed.release(a, lease)
  expect((await bed.record())?.holds).toEqual([])
})
