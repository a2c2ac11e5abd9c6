import { expect, test } from 'vitest'
import { Testbed } from './machine.testbed.ts'

function completedWithCopy(): Testbed {
  const bed = new Testbed()
  bed.complete('a', bed.hold('a'), { copy: true })
  return bed
}

test('decide() keeps an outcome that rests on copies for as long as one lives', () => {
  const bed = completedWithCopy()
  bed.pass(30 * 24 * 3_600_000)
  expect(bed.ask('b')).toMatchObject({ status: 'done', copies: [{ node: 'node-a', endpoint: 'http://a' }] })
})

test('decide() ends the outcome with the last live copy, and grants the next who asks', () => {
  const bed = completedWithCopy()
  bed.addCopy('b')
  bed.end('a')
  expect(bed.ask('c')).toMatchObject({ status: 'done', copies: [{ node: 'node-b' }] })
  bed.end('b')
  expect(bed.ask('c', {}, 'c2')).toMatchObject({ status: 'granted' })
})

test('decide() ends the outcome when the last copy is withdrawn', () => {
  const bed = completedWithCopy()
  bed.removeCopy('a')
  expect(bed.ask('b')).toMatchObject({ status: 'granted' })
})

test("decide() withdraws the asker's own copy, for who asks has none", () => {
  const bed = completedWithCopy()
  bed.addCopy('b')
  expect(bed.ask('a', {}, 'a2')).toMatchObject({ status: 'done', copies: [{ node: 'node-b' }] })
  expect(bed.record.copies).toEqual(['b'])
  expect(bed.ask('b')).toMatchObject({ status: 'granted' })
})

test('decide() keeps an outcome that does not rest on copies when its copies go', () => {
  const bed = new Testbed()
  bed.complete('a', bed.hold('a'), { value: 1 })
  bed.addCopy('b')
  bed.removeCopy('b')
  expect(bed.ask('c')).toMatchObject({ status: 'done', value: 1, copies: [] })
})

test('decide() names at most three live copies with an endpoint, spread by ticket', () => {
  const bed = completedWithCopy()
  for (const name of ['b', 'c', 'd', 'e']) bed.addCopy(name)
  bed.sessions.set('f', { node: 'node-f' })
  bed.addCopy('f')
  bed.sessions.delete('b')
  const named = new Set<string>()
  for (let index = 0; index < 50; index++) {
    const answer = bed.ask('x', {}, `ticket-${index}`)
    if (answer.status !== 'done') throw new Error(answer.status)
    expect(answer.copies).toHaveLength(3)
    for (const { node } of answer.copies) named.add(node)
  }
  expect([...named].toSorted()).toEqual(['node-a', 'node-c', 'node-d', 'node-e'])
})

test('decide() names the same copies to the same ticket', () => {
  const bed = completedWithCopy()
  for (const name of ['b', 'c', 'd', 'e']) bed.addCopy(name)
  expect(bed.ask('x')).toEqual(bed.ask('x'))
})

test('decide() takes a copy of what nobody completed as an outcome of its own, and tells the waiters', () => {
  const bed = new Testbed()
  bed.hold('a')
  bed.ask('b')
  bed.addCopy('c')
  expect(bed.woken).toContain('b1')
  expect(bed.ask('b')).toMatchObject({ status: 'done', by: { node: 'node-c' }, copies: [{ node: 'node-c' }] })
})

test('decide() gives the outcome of a bare copy a token of its own', () => {
  const bed = new Testbed()
  const lease = bed.hold('a')
  bed.addCopy('b')
  expect(bed.ask('c')).toMatchObject({ status: 'done', fencingToken: lease.fencingToken + 1 })
  bed.release('a', lease)
  expect(bed.hold('d', { ignoreOutcome: true }).fencingToken).toBe(lease.fencingToken + 2)
})

test('decide() changes nothing by a copy that is listed, or by withdrawing one that is not', () => {
  const bed = completedWithCopy()
  const before = bed.record
  bed.addCopy('a')
  bed.removeCopy('b')
  expect(bed.record).toBe(before)
})

test('decide() does not withdraw the copy that a session got while its ticket waited', () => {
  const bed = new Testbed()
  bed.hold('a')
  bed.ask('b')
  bed.ask('c')
  bed.addCopy('b')
  expect(bed.ask('b')).toMatchObject({ status: 'done' })
  expect(bed.ask('c')).toMatchObject({ status: 'done', copies: [{ node: 'node-b' }] })
})

test("decide() tells done to a second ticket of the holder's session without withdrawing its copy", () => {
  const bed = new Testbed()
  const lease = bed.hold('a', {}, 'a1')
  bed.ask('a', {}, 'a2')
  bed.complete('a', lease, { copy: true })
  expect(bed.ask('a', {}, 'a2')).toMatchObject({ status: 'done' })
  expect(bed.ask('b')).toMatchObject({ status: 'done', copies: [{ node: 'node-a' }] })
})

test('decide() does not withdraw the copy that a session got while it waits to do the work anew', () => {
  const bed = completedWithCopy()
  bed.hold('b', { ignoreOutcome: true })
  bed.ask('c', { ignoreOutcome: true })
  bed.addCopy('c')
  bed.ask('c', { ignoreOutcome: true })
  expect(bed.record.copies).toEqual(['a', 'c'])
})

test('decide() forgets a record of nothing but copies when the last one goes', () => {
  const bed = new Testbed()
  bed.addCopy('a')
  bed.addCopy('b')
  bed.end('a')
  expect(bed.blank).toBe(false)
  bed.end('b')
  expect(bed.blank).toBe(true)
})

test('decide() ends an outcome with copies after its retainMs when that is named, were it 0', () => {
  const bed = new Testbed()
  bed.complete('a', bed.hold('a'), { copy: true, retainMs: 0 })
  expect(bed.ask('b')).toMatchObject({ status: 'granted' })
})
