import { expect, test } from 'vitest'
import { Testbed } from './machine.testbed.ts'

test('decide() refuses a stale token and leaves the record untouched', () => {
  const bed = new Testbed()
  const stale = bed.hold('a')
  bed.end('a')
  bed.hold('b')
  bed.session('a')
  const before = bed.record
  for (const command of [
    () => bed.complete('a', stale, { value: 'late' }),
    () => bed.fail('a', stale),
    () => bed.release('a', stale),
  ]) {
    expect(command).toThrow(expect.objectContaining({ code: 'lease_lost' }))
    expect(bed.record).toBe(before)
  }
})

test('decide() says in a refusal which token it refuses, and why', () => {
  const bed = new Testbed()
  const lease = bed.hold('a')
  bed.end('a')
  bed.session('a')
  expect(() => bed.release('a', lease)).toThrow(/^fencingToken: 1 .* its hold was expired$/)
  expect(() => bed.release('a', { ...lease, fencingToken: 77 })).toThrow(/^fencingToken: 77 .* does not hold the key$/)
})

test("decide() refuses another session's token", () => {
  const bed = new Testbed()
  const lease = bed.hold('a')
  expect(() => bed.release('b', lease)).toThrow(expect.objectContaining({ code: 'lease_lost' }))
})

test.each(['complete', 'fail', 'release'] as const)(
  'decide() accepts a repeated %s and changes nothing by it',
  (op) => {
    const bed = new Testbed()
    const lease = bed.hold('a')
    bed.ask('b')
    bed[op]('a', lease)
    const after = bed.record
    bed[op]('a', lease)
    expect(bed.record).toBe(after)
    expect(bed.woken).toEqual([])
  },
)

test('decide() refuses to end a hold in a second way', () => {
  const bed = new Testbed()
  const lease = bed.hold('a')
  bed.complete('a', lease)
  const after = bed.record
  expect(() => bed.fail('a', lease)).toThrow(/its hold was completed/)
  expect(bed.record).toBe(after)
})

test('decide() forgets how a ticket ended after endedMs, and then everything', () => {
  const bed = new Testbed({ endedMs: 5_000 })
  bed.release('a', bed.hold('a'))
  bed.pass(4_999)
  expect(bed.blank).toBe(false)
  bed.pass(1)
  expect(bed.blank).toBe(true)
  expect(bed.ask('a')).toMatchObject({ status: 'granted' })
})

test('decide() remembers no more ended tickets than it may', () => {
  const bed = new Testbed({ maxEnded: 3 })
  for (const ticket of ['1', '2', '3', '4', '5']) bed.release('a', bed.hold('a', {}, ticket))
  expect(bed.record.ended.map((end) => end.ticket)).toEqual(['3', '4', '5'])
})

test('decide() hands a released key on without an outcome', () => {
  const bed = new Testbed()
  const lease = bed.hold('a')
  bed.ask('b')
  bed.release('a', lease)
  expect(bed.record.outcome).toBeUndefined()
  expect(bed.hold('b')).toMatchObject({ attempt: 1 })
})

test('decide() with clear leaves no outcome, forgets the old one and its copies, and grants the next', () => {
  const bed = new Testbed()
  bed.addCopy('a')
  const lease = bed.hold('a', { ignoreOutcome: true, unlessReferenced: true })
  bed.ask('b', { ignoreOutcome: true })
  bed.complete('a', lease, { clear: true })
  expect(bed.record).toMatchObject({ outcome: undefined, copies: [] })
  expect(bed.hold('b')).toMatchObject({ attempt: 1 })
})

test('decide() leaves no trace of failures after a completion', () => {
  const bed = new Testbed()
  bed.fail('a', bed.hold('a'))
  const second = bed.hold('b')
  expect(second.attempt).toBe(2)
  bed.complete('b', second, { retainMs: 0 })
  bed.pass(1)
  expect(bed.hold('c')).toEqual({ status: 'granted', fencingToken: 3, attempt: 1 })
})
