import { expect, test } from 'vitest'
import { nextDeadlineMs } from './expire.ts'
import { Testbed } from './machine.testbed.ts'

test('decide() fails the holds of a session that expires over to the next waiter', () => {
  const bed = new Testbed()
  bed.hold('a')
  bed.ask('b')
  bed.end('a')
  expect(bed.woken).toEqual(['a1', 'b1'])
  expect(bed.hold('b')).toMatchObject({
    attempt: 2,
    lastError: { code: 'session_expired', message: 'session expired' },
  })
})

test('decide() counts expired sessions as attempts but not against the key', () => {
  const bed = new Testbed({ maxFailures: 2 })
  for (const name of ['a', 'b', 'c', 'd', 'e']) bed.ask(name)
  for (const [index, name] of ['a', 'b', 'c', 'd'].entries()) {
    expect(bed.hold(name).attempt).toBe(index + 1)
    bed.end(name)
  }
  const last = bed.hold('e')
  expect(last.attempt).toBe(5)
  bed.ask('f')
  bed.fail('e', last)
  expect(bed.hold('f')).toMatchObject({ attempt: 6 })
})

test('decide() counts a session that expires with an offer in its hand not as a failed attempt', () => {
  const bed = new Testbed()
  const lease = bed.hold('a')
  bed.ask('b')
  bed.ask('c')
  bed.release('a', lease)
  bed.end('b')
  expect(bed.hold('c')).toMatchObject({ attempt: 1 })
})

test('decide() takes the tickets of an ended session out of the queue and wakes them', () => {
  const bed = new Testbed()
  bed.hold('a')
  bed.ask('b', {}, 'b1')
  bed.ask('b', {}, 'b2')
  bed.ask('c')
  bed.end('b')
  expect(bed.woken).toEqual(['b1', 'b2'])
  expect(bed.ask('c')).toMatchObject({ position: 1 })
})

test('decide() withdraws the copies of an ended session, or keeps them for its successor', () => {
  const bed = new Testbed()
  bed.addCopy('a')
  bed.hold('a', { ignoreOutcome: true, unlessReferenced: true })
  bed.run({ op: 'endSession', session: bed.session('a'), reason: 'the process was restarted', keepCopies: true })
  expect(bed.record).toMatchObject({ copies: ['a'], holds: [] })
  bed.end('a')
  expect(bed.record).toMatchObject({ copies: [], outcome: undefined })
})

test('decide() never grants to a session that is gone, even before the key has learnt of its end', () => {
  const bed = new Testbed()
  const lease = bed.hold('a')
  bed.ask('b')
  bed.ask('c')
  bed.sessions.delete('b')
  bed.release('a', lease)
  expect(bed.record.holds.map((hold) => hold.session)).toEqual(['c'])
})

test('decide() changes nothing by the end of a session that is not part of the key', () => {
  const bed = new Testbed()
  bed.hold('a')
  bed.ask('b')
  const before = bed.record
  bed.end('x')
  expect(bed.record).toBe(before)
  expect(bed.woken).toEqual([])
})

test('decide() changes nothing by the end of a session when that is repeated', () => {
  const bed = new Testbed()
  bed.hold('a')
  bed.ask('b')
  bed.end('a')
  const after = bed.record
  bed.end('a')
  expect(bed.record).toBe(after)
})

test('decide() leaves nothing behind when all is over', () => {
  const bed = new Testbed()
  const lease = bed.hold('a')
  bed.ask('b')
  bed.fail('a', lease, { retryAfterMs: 500 })
  bed.pass(500)
  bed.end('b')
  expect(bed.blank).toBe(false)
  bed.pass(60_000)
  expect(bed.blank).toBe(true)
  expect(nextDeadlineMs(bed.record)).toBeUndefined()
})

test('nextDeadlineMs() names no time for a record that only time cannot change', () => {
  const bed = new Testbed()
  bed.hold('a')
  bed.ask('b')
  expect(nextDeadlineMs(bed.record)).toBeUndefined()
})

test('nextDeadlineMs() names the first of all times', () => {
  const bed = new Testbed({ offerMs: 3_000, endedMs: 9_000 })
  const lease = bed.hold('a', { maxHoldMs: 5_000 })
  expect(nextDeadlineMs(bed.record)).toBe(bed.nowMs + 5_000)
  bed.ask('b')
  bed.release('a', lease)
  expect(nextDeadlineMs(bed.record)).toBe(bed.nowMs + 3_000)
})

test('decide() forgets ended tickets in time although the clock was set back meanwhile', () => {
  const bed = new Testbed({ endedMs: 30_000 })
  bed.release('a', bed.hold('a'))
  bed.nowMs -= 500_000
  bed.release('b', bed.hold('b'))
  // The key is due when something happens, not before, lest its timer runs in circles.
  const dueMs = nextDeadlineMs(bed.record)!
  expect(dueMs).toBeGreaterThan(bed.nowMs)
  bed.pass(dueMs - bed.nowMs + 1)
  expect(bed.blank).toBe(true)
})
