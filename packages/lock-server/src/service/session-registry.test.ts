import { expect, test } from 'vitest'
import { isOpen } from './clock.testbed.ts'
import { KEY, ServiceBed } from './service.testbed.ts'

test('a session that is not renewed ends after its TTL, and the next waiter is granted', async () => {
  const bed = await ServiceBed.open()
  const a = await bed.session('a', { ttlMs: 3_000 })
  const b = await bed.session('b', { ttlMs: 60_000 })
  await bed.hold(a, 'a1')
  const parked = bed.ask(b, 'b1', { waitMs: 25_000 })
  await bed.clock.pass(2_999)
  expect(await isOpen(parked)).toBe(true)
  await bed.clock.pass(1)
  expect(await parked).toMatchObject({
    status: 'granted',
    attempt: 2,
    lastError: { code: 'session_expired', message: 'session expired' },
  })
  await expect(bed.ask(a, 'a2')).rejects.toMatchObject({ code: 'session_expired' })
  expect(bed.service.sessions.size).toBe(1)
  expect(await bed.store.sessions()).toHaveLength(1)
})

test('a session is not ended by a timer that fires too early', async () => {
  const bed = await ServiceBed.open()
  bed.clock.earlyMs = 100
  await bed.session('a', { ttlMs: 3_000 })
  bed.clock.earlyMs = 0
  await bed.clock.pass(2_999)
  expect(bed.service.sessions.size).toBe(1)
  await bed.clock.pass(1)
  expect(bed.service.sessions.size).toBe(0)
})

test('renew() gives a session its full TTL again', async () => {
  const bed = await ServiceBed.open()
  const a = await bed.session('a', { ttlMs: 3_000 })
  for (let round = 0; round < 5; round++) {
    await bed.clock.pass(2_900)
    expect(bed.service.sessions.renew(a.id)).toMatchObject({ ttlMs: 3_000 })
  }
  await bed.clock.pass(3_000)
  expect(() => bed.service.sessions.renew(a.id)).toThrow(expect.objectContaining({ code: 'session_expired' }))
})

test('a session without a TTL of its own has the default one', async () => {
  const bed = await ServiceBed.open()
  expect((await bed.session('a')).ttlMs).toBe(15_000)
})

test('everything of a session ends with it: holds, tickets, copies', async () => {
  const bed = await ServiceBed.open({ endedMs: 1_000, negativeMs: 1_000 })
  const a = await bed.session('a', { ttlMs: 3_000 })
  const b = await bed.session('b', { ttlMs: 60_000 })
  await bed.service.execute(KEY, { op: 'addCopy', session: a.ref })
  await bed.hold(b, 'b1', { ignoreOutcome: true, unlessReferenced: false })
  await bed.ask(a, 'a1', { ignoreOutcome: true, unlessReferenced: true })
  await bed.clock.pass(3_000)
  expect(await bed.record()).toMatchObject({ queue: [], copies: [], outcome: undefined })
})

test('a session that was itself silenced by a stopped server is not expired by a late timer', async () => {
  const bed = await ServiceBed.open()
  const a = await bed.session('a', { ttlMs: 3_000 })
  await bed.hold(a, 'a1')
  await bed.clock.stall(30_000)
  expect(bed.service.sessions.size).toBe(1)
  expect(await bed.ask(a, 'a1')).toMatchObject({ status: 'granted' })
  await bed.clock.pass(3_000)
  expect(bed.service.sessions.size).toBe(0)
})

test('disconnected() ends a session with a grace after that, as a process that has died', async () => {
  const bed = await ServiceBed.open()
  const a = await bed.session('a', { ttlMs: 15_000, disconnectGraceMs: 1_000 })
  const b = await bed.session('b')
  await bed.hold(a, 'a1')
  const parked = bed.ask(b, 'b1', { waitMs: 14_000 })
  const { renewal } = bed.service.sessions.renew(a.id)
  bed.service.sessions.disconnected(a.id, renewal)
  await bed.clock.pass(999)
  expect(await isOpen(parked)).toBe(true)
  await bed.clock.pass(1)
  expect(await parked).toMatchObject({ status: 'granted', lastError: { message: 'the process has died' } })
})

test('disconnected() changes nothing when the session is renewed within its grace', async () => {
  const bed = await ServiceBed.open()
  const a = await bed.session('a', { ttlMs: 15_000, disconnectGraceMs: 1_000 })
  bed.service.sessions.disconnected(a.id, bed.service.sessions.renew(a.id).renewal)
  await bed.clock.pass(500)
  bed.service.sessions.renew(a.id)
  await bed.clock.pass(14_999)
  expect(bed.service.sessions.size).toBe(1)
})

test("disconnected() does not count an older renewal's connection that closes late", async () => {
  const bed = await ServiceBed.open()
  const a = await bed.session('a', { ttlMs: 15_000, disconnectGraceMs: 1_000 })
  const { renewal } = bed.service.sessions.renew(a.id)
  bed.service.sessions.renew(a.id)
  bed.service.sessions.disconnected(a.id, renewal)
  await bed.clock.pass(14_999)
  expect(bed.service.sessions.size).toBe(1)
})

test('disconnected() does not prolong a session, nor end one that has no grace', async () => {
  const bed = await ServiceBed.open()
  const a = await bed.session('a', { ttlMs: 2_000, disconnectGraceMs: 10_000 })
  const b = await bed.session('b', { ttlMs: 15_000 })
  for (const { id } of [a, b]) bed.service.sessions.disconnected(id, bed.service.sessions.renew(id).renewal)
  await bed.clock.pass(2_000)
  expect(bed.service.sessions.nodes().map(({ node }) => node)).toEqual(['b'])
})

test('openSession() with resume takes over the copies and fails the holds at once', async () => {
  const bed = await ServiceBed.open()
  const before = await bed.session('a', { endpoint: 'http://old' })
  const b = await bed.session('b')
  await bed.service.updateCopies(before.ref, [KEY], [])
  await bed.hold(before, 'a1', { ignoreOutcome: true, unlessReferenced: true })
  const parked = bed.ask(b, 'b1', { ignoreOutcome: true, waitMs: 10_000 })
  expect(await isOpen(parked)).toBe(true)
  const { session, resumed } = await bed.service.openSession({ node: 'a', endpoint: 'http://new', resume: before.id })
  expect(resumed).toBe(true)
  expect(session.id).not.toBe(before.id)
  expect(await parked).toMatchObject({ status: 'granted', lastError: { message: 'the process was restarted' } })
  expect(await bed.ask(await bed.session('c'), 'c1')).toMatchObject({ copies: [{ node: 'a', endpoint: 'http://new' }] })
  expect(() => bed.service.sessions.renew(before.id)).toThrow(expect.objectContaining({ code: 'session_expired' }))
})

test('openSession() resumes nothing when the predecessor is gone', async () => {
  const bed = await ServiceBed.open()
  const { resumed } = await bed.service.openSession({ node: 'a', resume: 'never-was' })
  expect(resumed).toBe(false)
})

test('openSession() lets only one of two successors take over', async () => {
  const bed = await ServiceBed.open()
  const before = await bed.session('a')
  const request = { node: 'a', resume: before.id }
  const opened = await Promise.all([bed.service.openSession(request), bed.service.openSession(request)])
  expect(opened.map(({ resumed }) => resumed)).toEqual([true, false])
  expect(opened[0].session.ref).not.toBe(opened[1].session.ref)
})

test('openSession() leaves the predecessor alive when the store fails', async () => {
  const bed = await ServiceBed.open()
  const before = await bed.session('a')
  bed.store.failing = true
  await expect(bed.service.openSession({ node: 'a', resume: before.id })).rejects.toThrow('the disk is full')
  bed.store.failing = false
  expect(await bed.service.openSession({ node: 'a', resume: before.id })).toMatchObject({ resumed: true })
  expect(bed.service.sessions.size).toBe(1)
})

test('nodes() lists the live sessions without their ids', async () => {
  const bed = await ServiceBed.open()
  const a = await bed.session('a', { endpoint: 'http://a' })
  await bed.clock.pass(1_500)
  await bed.session('b')
  const nodes = bed.service.sessions.nodes()
  expect(nodes).toEqual([
    { node: 'a', endpoint: 'http://a', sinceMs: 1_500 },
    { node: 'b', sinceMs: 0 },
  ])
  expect(JSON.stringify(nodes)).not.toContain(a.id)
})

test('closeSession() frees what the session holds although its entry cannot be deleted', async () => {
  const bed = await ServiceBed.open()
  const [a, b] = [await bed.session('a'), await bed.session('b')]
  await bed.hold(a, 'a1')
  bed.store.failing = true
  await expect(bed.service.closeSession(a.id)).rejects.toThrow('the disk is full')
  bed.store.failing = false
  await bed.clock.pass(1_000)
  expect(await bed.ask(b, 'b1')).toMatchObject({ status: 'granted' })
})

test('a session that expires while the store fails is failed over when that works again', async () => {
  const bed = await ServiceBed.open()
  const [a, b] = [await bed.session('a', { ttlMs: 3_000 }), await bed.session('b', { ttlMs: 60_000 })]
  await bed.hold(a, 'a1')
  const parked = bed.ask(b, 'b1', { waitMs: 25_000 })
  expect(await isOpen(parked)).toBe(true)
  bed.store.failing = true
  await bed.clock.pass(10_000)
  expect(await isOpen(parked)).toBe(true)
  bed.store.failing = false
  await bed.clock.pass(1_000)
  expect(await parked).toMatchObject({ status: 'granted' })
})

test('drain() lets no session end by itself any more', async () => {
  const bed = await ServiceBed.open()
  const a = await bed.session('a', { ttlMs: 1_000, disconnectGraceMs: 0 })
  const { renewal } = bed.service.sessions.renew(a.id)
  bed.service.drain()
  bed.service.sessions.disconnected(a.id, renewal)
  await bed.clock.pass(60_000)
  expect(await bed.store.sessions()).toHaveLength(1)
})
