import { expect, test } from 'vitest'
import { Testbed } from './machine.testbed.ts'

const wish = { limit: 2 }

test('decide() names the holder as the source, unless it cannot be reached', () => {
  const bed = new Testbed()
  bed.sessions.set('a', { node: 'node-a' })
  bed.hold('a')
  expect(bed.ask('b')).toEqual({ status: 'queued', position: 1, holder: { node: 'node-a' } })
})

test('decide() never names a session as its own source', () => {
  const bed = new Testbed()
  bed.hold('a', wish, 'a1')
  bed.hold('b', wish)
  expect(bed.ask('a', wish, 'a2')).toMatchObject({ source: { node: 'node-b' } })
})

test('decide() wakes waiters whose source has gone, and says once that it has changed', () => {
  const bed = new Testbed()
  bed.hold('a', wish)
  bed.hold('b', wish)
  expect(bed.ask('c', wish)).toMatchObject({ source: { node: 'node-a' } })
  expect(bed.ask('d', wish)).toMatchObject({ source: { node: 'node-a' } })
  bed.end('a')
  expect(bed.woken).toEqual(expect.arrayContaining(['a1', 'c1', 'd1']))
  const first = bed.run(bed.command('d', 'd1', wish))
  expect(first).toMatchObject({ answer: { status: 'queued', source: { node: 'node-b' } }, sourceChanged: true })
  expect(bed.run(bed.command('d', 'd1', wish))).toMatchObject({ sourceChanged: false })
})

test('decide() does not wake waiters whose source stays', () => {
  const bed = new Testbed()
  bed.hold('a', wish)
  const second = bed.hold('b', wish)
  bed.ask('c', wish)
  bed.ask('d', wish)
  bed.release('b', second)
  expect(bed.woken).toEqual(['b1', 'c1'])
})

test('decide() takes the source that a first answer names as told', () => {
  const bed = new Testbed()
  bed.hold('a')
  expect(bed.run(bed.command('b', 'b1'))).toMatchObject({ sourceChanged: false })
  expect(bed.run(bed.command('b', 'b1'))).toMatchObject({ sourceChanged: false })
})
