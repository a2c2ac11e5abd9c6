import { expect, test } from 'vitest'
import { nextDeadlineMs } from './expire.ts'
import { Testbed } from './machine.testbed.ts'

function offered(settings = {}): Testbed {
  const bed = new Testbed({ offerMs: 1_000, ...settings })
  const lease = bed.hold('a')
  bed.ask('b')
  bed.ask('c')
  bed.release('a', lease)
  return bed
}

test('decide() gives an offer that is not taken up within offerMs to the next in line', () => {
  const bed = offered()
  expect(nextDeadlineMs(bed.record)).toBe(bed.nowMs + 1_000)
  bed.pass(999)
  expect(bed.record.holds[0]?.ticket).toBe('b1')
  bed.pass(1)
  expect(bed.woken).toEqual(['b1', 'c1'])
  expect(bed.ask('c')).toMatchObject({ status: 'granted' })
})

test('decide() counts an offer that lapsed not as a failure', () => {
  const bed = offered()
  bed.pass(1_000)
  expect(bed.hold('c')).toMatchObject({ attempt: 1 })
})

test('decide() tells a ticket whose offer has lapsed to ask with a new one', () => {
  const bed = offered()
  bed.pass(1_000)
  expect(() => bed.ask('b')).toThrow(expect.objectContaining({ code: 'lease_lost' }))
  expect(bed.ask('b', {}, 'b2')).toMatchObject({ status: 'queued', position: 1 })
})

test('decide() lets an offer that was taken up lapse no more', () => {
  const bed = offered()
  const taken = bed.ask('b')
  bed.pass(60_000)
  expect(bed.ask('b')).toEqual(taken)
})

test('decide() lets a lease that was free be held without being taken up', () => {
  const bed = new Testbed({ offerMs: 1_000 })
  const granted = bed.hold('a')
  bed.pass(60_000)
  expect(bed.ask('a')).toEqual(granted)
})

test('decide() gives offers their full time again after a restart of the server', () => {
  const bed = offered()
  bed.nowMs += 5_000
  bed.run({ op: 'restart' })
  bed.pass(999)
  expect(bed.ask('b')).toMatchObject({ status: 'granted' })
})

test('decide() changes nothing at a restart when nothing is on offer', () => {
  const bed = new Testbed()
  bed.hold('a')
  const before = bed.record
  bed.run({ op: 'restart' })
  expect(bed.record).toBe(before)
})

test('decide() lets a canceled ticket leave the queue, and never come back', () => {
  const bed = new Testbed()
  const lease = bed.hold('a')
  bed.ask('b')
  bed.cancel('b')
  expect(bed.record.queue).toEqual([])
  bed.release('a', lease)
  expect(bed.record.holds).toEqual([])
  expect(() => bed.ask('b')).toThrow(expect.objectContaining({ code: 'lease_lost' }))
})

test('decide() hands on what a canceled ticket was just offered', () => {
  const bed = offered()
  bed.cancel('b')
  expect(bed.woken).toEqual(['b1', 'c1'])
  expect(bed.ask('c')).toMatchObject({ status: 'granted' })
})

test('decide() lets a cancel that overtakes its acquire win', () => {
  const bed = new Testbed()
  bed.cancel('a')
  expect(() => bed.ask('a')).toThrow(expect.objectContaining({ code: 'lease_lost' }))
  expect(bed.record.holds).toEqual([])
})

test('decide() changes nothing by a repeated cancel', () => {
  const bed = offered()
  bed.cancel('b')
  const after = bed.record
  bed.cancel('b')
  expect(bed.record).toBe(after)
})

test('decide() ends a hold after its maxHoldMs, however alive its session is, as a failure', () => {
  const bed = new Testbed()
  expect(bed.ask('a', { maxHoldMs: 2_000 })).toMatchObject({ holdMs: 2_000 })
  bed.ask('b')
  bed.pass(1_500)
  expect(bed.ask('a', { maxHoldMs: 2_000 })).toMatchObject({ status: 'granted', holdMs: 500 })
  bed.pass(500)
  expect(bed.woken).toEqual(['a1', 'b1'])
  expect(bed.hold('b')).toMatchObject({ attempt: 2, lastError: { code: 'max_hold_exceeded' } })
})

test('decide() counts maxHoldMs from when an offer was taken up', () => {
  const bed = new Testbed({ offerMs: 10_000 })
  const lease = bed.hold('a')
  bed.ask('b', { maxHoldMs: 2_000 })
  bed.release('a', lease)
  bed.pass(5_000)
  expect(bed.ask('b')).toMatchObject({ status: 'granted', holdMs: 2_000 })
  bed.pass(2_000)
  expect(bed.record.holds).toEqual([])
})
