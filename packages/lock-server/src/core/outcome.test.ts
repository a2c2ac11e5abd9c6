import { expect, test } from 'vitest'
import { nextDeadlineMs } from './expire.ts'
import { Testbed } from './machine.testbed.ts'

test('decide() tells all waiters done at once', () => {
  const bed = new Testbed()
  const lease = bed.hold('a')
  for (const name of ['b', 'c', 'd']) bed.ask(name)
  bed.complete('a', lease, { value: { size: 7 } })
  expect(bed.woken).toEqual(['a1', 'b1', 'c1', 'd1'])
  const { fencingToken } = lease
  const done = { status: 'done', value: { size: 7 }, fencingToken, by: { node: 'node-a' }, ageMs: 0, copies: [] }
  for (const name of ['b', 'c', 'd']) expect(bed.ask(name)).toEqual(done)
  expect(bed.record.holds).toEqual([])
})

test('decide() never consumes an outcome by reading it', () => {
  const bed = new Testbed()
  bed.complete('a', bed.hold('a'), { value: 1 })
  const before = bed.record
  for (let reader = 0; reader < 500; reader++) {
    expect(bed.ask(`r${reader}`)).toMatchObject({ status: 'done', value: 1 })
  }
  expect(bed.record).toBe(before)
})

test('decide() answers the ticket that completed with its own outcome', () => {
  const bed = new Testbed()
  bed.complete('a', bed.hold('a'), { value: 1 })
  expect(bed.ask('a')).toMatchObject({ status: 'done', value: 1 })
})

test('decide() says how old an outcome is', () => {
  const bed = new Testbed()
  bed.complete('a', bed.hold('a'))
  bed.pass(1_234)
  expect(bed.ask('b')).toMatchObject({ status: 'done', ageMs: 1_234 })
})

test('decide() ends an outcome after its retainMs, and grants the next who asks', () => {
  const bed = new Testbed()
  bed.complete('a', bed.hold('a'), { retainMs: 1_000 })
  bed.pass(999)
  expect(bed.ask('b')).toMatchObject({ status: 'done' })
  bed.pass(1)
  expect(bed.ask('b')).toMatchObject({ status: 'granted' })
})

test('decide() keeps an outcome without copies for the default time', () => {
  const bed = new Testbed({ retainMs: 2_000 })
  bed.complete('a', bed.hold('a'))
  bed.pass(1_999)
  expect(bed.ask('b')).toMatchObject({ status: 'done' })
  bed.pass(1)
  expect(bed.ask('b')).toMatchObject({ status: 'granted' })
})

test('decide() with retainMs 0 still tells those who waited, by their ticket, and nobody else', () => {
  const bed = new Testbed({ audienceMs: 5_000 })
  const lease = bed.hold('a')
  bed.ask('b')
  bed.complete('a', lease, { retainMs: 0, value: 'it' })
  bed.pass(4_000)
  expect(bed.ask('c')).toMatchObject({ status: 'granted' })
  expect(bed.ask('b')).toMatchObject({ status: 'done', value: 'it' })
  expect(bed.ask('b', {}, 'b2')).toMatchObject({ status: 'queued' })
  bed.pass(1_000)
  expect(bed.record.outcome).toBeUndefined()
})

test('decide() lets an outcome that nobody waited for end with its retainMs', () => {
  const bed = new Testbed()
  bed.complete('a', bed.hold('a'), { retainMs: 0 })
  expect(nextDeadlineMs(bed.record)).toBe(bed.nowMs)
  bed.pass(0)
  expect(bed.record.outcome).toBeUndefined()
})

test('decide() gives the lease to a wish that ignores outcomes, and leaves such a waiter in the queue', () => {
  const bed = new Testbed()
  const lease = bed.hold('a')
  bed.ask('b')
  bed.ask('c', { ignoreOutcome: true })
  bed.complete('a', lease)
  expect(bed.ask('c', { ignoreOutcome: true })).toMatchObject({ status: 'granted' })
  expect(bed.ask('b')).toMatchObject({ status: 'done' })
})

test('decide() forgets an outcome with the right token only, and only once', () => {
  const bed = new Testbed()
  const lease = bed.hold('a')
  bed.complete('a', lease, { copy: true })
  expect(bed.run({ op: 'forget', ifToken: lease.fencingToken + 1 })).toEqual({ forgotten: false })
  expect(bed.ask('b')).toMatchObject({ status: 'done' })
  expect(bed.run({ op: 'forget', ifToken: lease.fencingToken })).toEqual({ forgotten: true })
  expect(bed.run({ op: 'forget', ifToken: lease.fencingToken })).toEqual({ forgotten: false })
  expect(bed.ask('b', {}, 'b2')).toMatchObject({ status: 'granted' })
})

test('decide() forgets whatever outcome there is without a token', () => {
  const bed = new Testbed()
  bed.complete('a', bed.hold('a'))
  expect(bed.run({ op: 'forget' })).toEqual({ forgotten: true })
  expect(bed.ask('b')).toMatchObject({ status: 'granted' })
})
