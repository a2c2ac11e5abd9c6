import { expect, test } from 'vitest'
import { Testbed } from './machine.testbed.ts'

test('decide() grants a free key at once, as the first attempt', () => {
  const bed = new Testbed()
  expect(bed.ask('a')).toEqual({ status: 'granted', fencingToken: 1, attempt: 1 })
  expect(bed.record.holds).toHaveLength(1)
})

test('decide() queues whoever comes to a held key, and tells them who holds it and how far that is', () => {
  const bed = new Testbed()
  bed.hold('a')
  bed.progress.set('a1', { done: 3, total: 9 })
  const holder = { node: 'node-a', endpoint: 'http://a', progress: { done: 3, total: 9 } }
  const source = { node: 'node-a', endpoint: 'http://a' }
  expect(bed.ask('b')).toEqual({ status: 'queued', position: 1, holder, source })
  expect(bed.ask('c')).toMatchObject({ status: 'queued', position: 2 })
})

test('decide() grants the head of the queue and nobody else', () => {
  const bed = new Testbed()
  bed.reachable = false
  const lease = bed.hold('a')
  bed.ask('b')
  bed.ask('c')
  bed.release('a', lease)
  expect(bed.woken).toEqual(['a1', 'b1'])
  expect(bed.ask('c')).toMatchObject({ status: 'queued', position: 1 })
  expect(bed.ask('b')).toMatchObject({ status: 'granted' })
})

test('decide() lets nobody overtake the queue, not even while an offer is not taken up', () => {
  const bed = new Testbed()
  const lease = bed.hold('a')
  bed.ask('b')
  bed.release('a', lease)
  expect(bed.ask('c')).toMatchObject({ status: 'queued' })
})

test('decide() answers the same ticket the same, and changes nothing by it', () => {
  const bed = new Testbed()
  const granted = bed.ask('a')
  const held = bed.record
  expect(bed.ask('a')).toEqual(granted)
  expect(bed.record).toBe(held)
  const queued = bed.ask('b')
  const waiting = bed.record
  expect(bed.ask('b')).toEqual(queued)
  expect(bed.record).toBe(waiting)
})

test('decide() takes two tickets of one session as two wishes', () => {
  const bed = new Testbed()
  bed.hold('a', {}, 'a1')
  expect(bed.ask('a', {}, 'a2')).toMatchObject({ status: 'queued', position: 1 })
})

test('decide() keeps tickets of the same name in two sessions apart', () => {
  const bed = new Testbed()
  bed.hold('a', {}, 'same')
  expect(bed.ask('b', {}, 'same')).toMatchObject({ status: 'queued' })
  bed.cancel('b', 'same')
  expect(bed.ask('a', {}, 'same')).toMatchObject({ status: 'granted' })
})

test('decide() answers busy instead of queueing when enqueue is false', () => {
  const bed = new Testbed()
  bed.hold('a')
  expect(bed.ask('b', { enqueue: false })).toEqual({
    status: 'busy',
    holder: { node: 'node-a', endpoint: 'http://a' },
  })
  expect(bed.record.queue).toEqual([])
})

test('decide() refuses more waiters than the queue may have', () => {
  const bed = new Testbed({ maxQueue: 1 })
  bed.hold('a')
  bed.ask('b')
  expect(() => bed.ask('c')).toThrow(expect.objectContaining({ code: 'queue_full' }))
  expect(bed.ask('b')).toMatchObject({ status: 'queued', position: 1 })
})

test('decide() grants a key with a limit to as many as that, and hands each place on', () => {
  const bed = new Testbed()
  const first = bed.hold('a', { limit: 2 })
  bed.hold('b', { limit: 2 })
  expect(bed.ask('c', { limit: 2 })).toMatchObject({ status: 'queued' })
  expect(bed.ask('d', { limit: 2 })).toMatchObject({ status: 'queued' })
  bed.release('a', first)
  expect(bed.ask('d', { limit: 2 })).toMatchObject({ status: 'queued', position: 1 })
  expect(bed.ask('c', { limit: 2 })).toMatchObject({ status: 'granted' })
})

test('decide() refuses another limit while the key is in use, and takes it when it is not', () => {
  const bed = new Testbed()
  const lease = bed.hold('a', { limit: 2 })
  const before = bed.record
  expect(() => bed.ask('b', { limit: 3 })).toThrow(expect.objectContaining({ code: 'limit_mismatch' }))
  expect(bed.record).toBe(before)
  bed.release('a', lease)
  expect(bed.ask('b', { limit: 3 })).toMatchObject({ status: 'granted' })
})

test('decide() gives tokens that grow although the wall clock goes back', () => {
  const bed = new Testbed()
  bed.tokenFloor = 5_000
  const first = bed.hold('a')
  expect(first.fencingToken).toBe(5_000)
  bed.tokenFloor = 10
  bed.release('a', first)
  const second = bed.hold('b')
  expect(second.fencingToken).toBe(5_001)
  bed.release('b', second)
  bed.tokenFloor = 9_000
  expect(bed.hold('c').fencingToken).toBe(9_000)
})

test('decide() refuses a ticket that has ended, so that a late duplicate takes nothing', () => {
  const bed = new Testbed()
  const lease = bed.hold('a')
  bed.release('a', lease)
  expect(() => bed.ask('a')).toThrow(expect.objectContaining({ code: 'lease_lost' }))
  expect(bed.ask('a', {}, 'a2')).toMatchObject({ status: 'granted' })
})

test('decide() refuses to hand out for deletion what other sessions have copies of', () => {
  const bed = new Testbed()
  bed.addCopy('a')
  const wish = { unlessReferenced: true, ignoreOutcome: true }
  expect(() => bed.ask('b', wish)).toThrow(expect.objectContaining({ code: 'in_use' }))
  bed.removeCopy('a')
  expect(bed.ask('b', wish)).toMatchObject({ status: 'granted' })
})

test('decide() lets a session delete what it alone has, without withdrawing its copy by asking', () => {
  const bed = new Testbed()
  bed.addCopy('a')
  expect(bed.ask('a', { unlessReferenced: true, ignoreOutcome: true })).toMatchObject({ status: 'granted' })
  expect(bed.record.copies).toEqual(['a'])
})

test('decide() does not count the copies of sessions that are gone as references', () => {
  const bed = new Testbed()
  bed.addCopy('a')
  bed.sessions.delete('a')
  expect(bed.ask('b', { unlessReferenced: true, ignoreOutcome: true })).toMatchObject({ status: 'granted' })
})

test('decide() wakes and sends away who waits to delete what another session gets meanwhile', () => {
  const bed = new Testbed()
  const wish = { unlessReferenced: true, ignoreOutcome: true }
  bed.hold('a', { ignoreOutcome: true })
  bed.ask('b', wish)
  bed.addCopy('c')
  expect(bed.woken).toContain('b1')
  expect(() => bed.ask('b', wish)).toThrow(expect.objectContaining({ code: 'in_use' }))
  expect(bed.record.queue).toEqual([])
})

test('decide() passes over a waiter who may not delete any more, and grants the next', () => {
  const bed = new Testbed()
  const lease = bed.hold('a', { ignoreOutcome: true })
  bed.ask('b', { unlessReferenced: true, ignoreOutcome: true })
  bed.ask('c', { ignoreOutcome: true })
  bed.complete('a', lease, { copy: true })
  expect(bed.woken).toEqual(expect.arrayContaining(['b1', 'c1']))
  expect(bed.ask('c', { ignoreOutcome: true })).toMatchObject({ status: 'granted' })
})

test('decide() never changes the record that it was given', () => {
  // The testbed freezes each record, so that any change in place throws; this makes sure that it does.
  const bed = new Testbed()
  bed.hold('a')
  bed.ask('b')
  const before = bed.record
  bed.end('a')
  expect(Object.isFrozen(before.holds[0])).toBe(true)
  expect(before.holds).toHaveLength(1)
  expect(before.queue).toHaveLength(1)
  expect(bed.record.queue).toEqual([])
})
