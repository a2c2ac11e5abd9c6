import { expect, test } from 'vitest'
import { nextDeadlineMs } from './expire.ts'
import { Testbed } from './machine.testbed.ts'

test('decide() hands a failed key to the next waiter, with the attempt count and the last error', () => {
  const bed = new Testbed()
  bed.reachable = false
  const lease = bed.hold('a')
  bed.ask('b')
  bed.ask('c')
  bed.fail('a', lease, { error: { code: 'ECONNRESET', message: 'cut' } })
  expect(bed.woken).toEqual(['a1', 'b1'])
  expect(bed.ask('b')).toMatchObject({
    status: 'granted',
    attempt: 2,
    lastError: { code: 'ECONNRESET', message: 'cut' },
  })
  expect(bed.ask('c')).toMatchObject({ status: 'queued', position: 1 })
})

test('decide() tells all waiters failed at a permanent failure, and remembers it for negativeMs', () => {
  const bed = new Testbed({ negativeMs: 5_000 })
  const lease = bed.hold('a')
  bed.ask('b')
  bed.ask('c')
  const error = { code: 'denied', message: 'no' }
  bed.fail('a', lease, { permanent: true, error })
  expect(bed.woken).toEqual(['a1', 'b1', 'c1'])
  const failed = { status: 'failed', error, attempts: 1, retryAfterMs: 5_000 }
  expect(bed.ask('b')).toEqual(failed)
  expect(bed.ask('c')).toEqual(failed)
  bed.pass(2_000)
  expect(bed.ask('d')).toEqual({ ...failed, retryAfterMs: 3_000 })
  bed.pass(3_000)
  expect(bed.ask('d')).toMatchObject({ status: 'granted', attempt: 1 })
})

test('decide() tells all waiters failed at the third failure in a row', () => {
  const bed = new Testbed()
  const first = bed.hold('a')
  for (const name of ['b', 'c', 'd']) bed.ask(name)
  bed.fail('a', first)
  bed.fail('b', bed.hold('b'))
  expect(bed.ask('d')).toMatchObject({ status: 'queued' })
  bed.fail('c', bed.hold('c'))
  expect(bed.ask('d')).toMatchObject({ status: 'failed', attempts: 3, error: { message: 'c has failed' } })
})

test('decide() obeys another number of failures in a row', () => {
  const bed = new Testbed({ maxFailures: 1 })
  const lease = bed.hold('a')
  bed.ask('b')
  bed.fail('a', lease)
  expect(bed.ask('b')).toMatchObject({ status: 'failed', attempts: 1 })
})

test('decide() counts failures as one row however long each of them took', () => {
  const bed = new Testbed({ negativeMs: 1_000 })
  const first = bed.hold('a')
  for (const name of ['b', 'c', 'd']) bed.ask(name)
  bed.fail('a', first)
  const second = bed.hold('b')
  expect(nextDeadlineMs(bed.record)).toBe(bed.record.ended.at(-1)?.untilMs)
  bed.pass(600_000)
  bed.fail('b', second)
  const third = bed.hold('c')
  expect(third.attempt).toBe(3)
  bed.pass(600_000)
  bed.fail('c', third)
  expect(bed.ask('d')).toMatchObject({ status: 'failed', attempts: 3 })
})

test('decide() begins a new row when nobody has tried for negativeMs after a failure', () => {
  const bed = new Testbed({ negativeMs: 1_000 })
  bed.fail('a', bed.hold('a'))
  bed.pass(1_001)
  expect(bed.hold('b')).toMatchObject({ attempt: 1 })
})

test('decide() begins a new row after a hold that was released when the old one was long over', () => {
  const bed = new Testbed({ negativeMs: 1_000 })
  bed.fail('a', bed.hold('a'))
  const second = bed.hold('b')
  bed.ask('c')
  bed.pass(5_000)
  bed.release('b', second)
  expect(bed.hold('c')).toMatchObject({ attempt: 1 })
})

test('decide() with negativeMs 0 still tells the next in line of the failure', () => {
  const bed = new Testbed({ negativeMs: 0 })
  const lease = bed.hold('a')
  bed.ask('b')
  bed.fail('a', lease)
  expect(bed.hold('b')).toMatchObject({ attempt: 2, lastError: { message: 'a has failed' } })
})

test("decide() lets a permanent failure of one group concern that group's waiters only", () => {
  const bed = new Testbed()
  bed.reachable = false
  const lease = bed.hold('a', { group: 'one' })
  bed.ask('b', { group: 'one' })
  bed.ask('c', { group: 'two' })
  bed.ask('d')
  bed.fail('a', lease, { permanent: true })
  expect(bed.woken).toEqual(['a1', 'b1', 'c1'])
  expect(bed.ask('b', { group: 'one' })).toMatchObject({ status: 'failed' })
  expect(bed.ask('e', { group: 'one' })).toMatchObject({ status: 'failed' })
  expect(bed.ask('c', { group: 'two' })).toMatchObject({ status: 'granted' })
  expect(bed.ask('d')).toMatchObject({ status: 'queued', position: 1 })
})

test('decide() lets a permanent failure without a group concern every group', () => {
  const bed = new Testbed()
  const lease = bed.hold('a')
  bed.ask('b', { group: 'one' })
  bed.fail('a', lease, { permanent: true })
  expect(bed.ask('b', { group: 'one' })).toMatchObject({ status: 'failed' })
})

test('decide() counts the failures of each group on its own', () => {
  const bed = new Testbed({ maxFailures: 2 })
  bed.fail('a', bed.hold('a', { group: 'one' }))
  bed.fail('b', bed.hold('b', { group: 'two' }))
  const third = bed.hold('c', { group: 'one' })
  expect(third.attempt).toBe(3)
  bed.fail('c', third)
  expect(bed.ask('d', { group: 'one' })).toMatchObject({ status: 'failed', attempts: 3 })
  expect(bed.ask('e', { group: 'two' })).toMatchObject({ status: 'granted' })
})

test('decide() grants nobody before retryAfterMs is over, and then the head of the queue', () => {
  const bed = new Testbed()
  bed.reachable = false
  const lease = bed.hold('a')
  bed.ask('b')
  bed.fail('a', lease, { retryAfterMs: 3_000 })
  expect(bed.woken).toEqual(['a1'])
  expect(bed.ask('b')).toEqual({ status: 'queued', position: 1 })
  expect(bed.ask('c', { enqueue: false })).toEqual({ status: 'busy' })
  bed.pass(2_999)
  expect(bed.record.holds).toEqual([])
  expect(nextDeadlineMs(bed.record)).toBe(bed.nowMs + 1)
  bed.pass(1)
  expect(bed.woken).toEqual(['b1'])
  expect(bed.ask('b')).toMatchObject({ status: 'granted', attempt: 2 })
})

test('decide() queues who comes to a paused key that nobody holds', () => {
  const bed = new Testbed()
  bed.fail('a', bed.hold('a'), { retryAfterMs: 3_000 })
  expect(bed.ask('b')).toEqual({ status: 'queued', position: 1 })
})

test('decide() remembers a permanent failure for as long as its retryAfterMs, when that is longer', () => {
  const bed = new Testbed({ negativeMs: 1_000 })
  bed.fail('a', bed.hold('a'), { permanent: true, retryAfterMs: 60_000 })
  bed.pass(59_000)
  expect(bed.ask('b')).toMatchObject({ status: 'failed', retryAfterMs: 1_000 })
})

test('decide() takes refusals back when someone completes after all', () => {
  const bed = new Testbed()
  const lease = bed.hold('a', { group: 'one' })
  bed.ask('b', { group: 'two' })
  bed.fail('a', lease, { permanent: true })
  bed.complete('b', bed.hold('b'), { retainMs: 0 })
  bed.pass(1)
  expect(bed.ask('c', { group: 'one' })).toMatchObject({ status: 'granted' })
})

test('decide() lets no other group wait for the retryAfterMs of a permanent failure', () => {
  const bed = new Testbed()
  const lease = bed.hold('a', { group: 'one' })
  bed.ask('b', { group: 'two' })
  bed.fail('a', lease, { permanent: true, retryAfterMs: 60_000 })
  expect(bed.woken).toEqual(['a1', 'b1'])
  expect(bed.ask('b', { group: 'two' })).toMatchObject({ status: 'granted' })
  expect(bed.ask('c', { group: 'one' })).toMatchObject({ status: 'failed', retryAfterMs: 60_000 })
})

test.each(['constructor', 'toString', '__proto__', 'hasOwnProperty', ''])(
  'decide() gives up on a key after three failures of the group %j as of any other',
  (group) => {
    const bed = new Testbed()
    for (const name of ['a', 'b', 'c']) bed.fail(name, bed.hold(name, { group }))
    expect(bed.ask('d', { group })).toMatchObject({ status: 'failed', attempts: 3 })
    expect(bed.ask('d', { group: 'another' })).toMatchObject({ status: 'granted' })
  },
)

test('decide() cuts a retryAfterMs to maxRetryAfterMs, for a pause and for a refusal', () => {
  const year = 365 * 24 * 3_600_000
  const bed = new Testbed({ maxRetryAfterMs: 60_000, negativeMs: 1_000 })
  bed.fail('a', bed.hold('a'), { retryAfterMs: year })
  expect(bed.ask('b')).toMatchObject({ status: 'queued' })
  bed.pass(60_000)
  bed.fail('b', bed.hold('b'), { permanent: true, retryAfterMs: year })
  expect(bed.ask('c')).toMatchObject({ status: 'failed', retryAfterMs: 60_000 })
})

test('decide() lets an operator end failures and a pause, and then grants the next in line', () => {
  const bed = new Testbed()
  bed.fail('a', bed.hold('a'), { permanent: true, retryAfterMs: 3_600_000 })
  expect(bed.ask('b')).toMatchObject({ status: 'failed' })
  expect(bed.run({ op: 'forget', ifToken: 1 })).toEqual({ forgotten: false })
  expect(bed.ask('b')).toMatchObject({ status: 'failed' })
  expect(bed.run({ op: 'forget' })).toEqual({ forgotten: true })
  bed.fail('b', bed.hold('b'), { retryAfterMs: 3_600_000 })
  expect(bed.ask('c')).toMatchObject({ status: 'queued' })
  expect(bed.run({ op: 'forget' })).toEqual({ forgotten: true })
  expect(bed.woken).toEqual(['c1'])
  expect(bed.ask('c')).toMatchObject({ status: 'granted', attempt: 1 })
  expect(bed.run({ op: 'forget' })).toEqual({ forgotten: false })
})

test('decide() remembers the failures of so many groups only, the last ones', () => {
  const bed = new Testbed({ maxGroups: 3 })
  for (const group of ['g1', 'g2', 'g3', 'g4']) {
    bed.fail('a', bed.hold('a', { group }, group), { permanent: true })
  }
  expect(bed.record.refusals.map(({ group }) => group)).toEqual(['g2', 'g3', 'g4'])
  const other = new Testbed({ maxGroups: 3 })
  for (const [index, group] of ['g1', 'g2', 'g3', 'g1', 'g4'].entries()) {
    other.fail('a', other.hold('a', { group }, `t${index}`))
  }
  expect(other.record.streak?.failures).toEqual([
    { group: 'g3', count: 1 },
    { group: 'g1', count: 2 },
    { group: 'g4', count: 1 },
  ])
})
