import { Compile } from 'typebox/schema'
import { LockRecord } from '@layerlock/protocol'
import { expect, test } from 'vitest'
import { Testbed } from './machine.testbed.ts'
import { stateOf, viewOf } from './view.ts'

const schema = Compile(LockRecord)

function view(bed: Testbed): LockRecord {
  const shown = viewOf(bed.record, bed.context)
  expect(schema.Check(shown)).toBe(true)
  return shown
}

test('viewOf() shows a key that nobody has asked for as free', () => {
  expect(view(new Testbed())).toEqual({ key: 'some/key', state: 'free', limit: 1, holders: [], queue: [] })
})

test('viewOf() shows holders and queue with ages and progress, and no session or ticket', () => {
  const bed = new Testbed()
  bed.sessions.set('secret-session', { node: 'node-s' })
  bed.hold('secret-session', {}, 'secret-ticket')
  bed.progress.set('secret-ticket', { done: 1 })
  bed.pass(100)
  bed.ask('b', {}, 'hidden-ticket')
  bed.progress.set('hidden-ticket', { done: 2 })
  bed.pass(50)
  const shown = view(bed)
  expect(shown).toMatchObject({
    state: 'queued',
    holders: [{ node: 'node-s', fencingToken: 1, heldMs: 150, offered: false, progress: { done: 1 } }],
    queue: [{ node: 'node-b', waitedMs: 50, progress: { done: 2 } }],
  })
  expect(JSON.stringify(shown)).not.toMatch(/secret|hidden/)
})

test('viewOf() tells an offer from a hold that was taken up', () => {
  const bed = new Testbed()
  const lease = bed.hold('a')
  bed.ask('b')
  bed.release('a', lease)
  expect(view(bed)).toMatchObject({ state: 'held', holders: [{ offered: true }] })
  bed.ask('b')
  expect(view(bed)).toMatchObject({ state: 'held', holders: [{ offered: false }] })
})

test('viewOf() shows an outcome with its age, end and copies', () => {
  const bed = new Testbed()
  bed.complete('a', bed.hold('a'), { value: { size: 1 }, copy: true, retainMs: 5_000 })
  bed.pass(1_000)
  expect(view(bed)).toMatchObject({
    state: 'done',
    outcome: { value: { size: 1 }, by: { node: 'node-a' }, ageMs: 1_000, endsInMs: 4_000, copyCount: 1 },
  })
})

test('viewOf() hides an outcome that is left for its audience only', () => {
  const bed = new Testbed()
  const lease = bed.hold('a')
  bed.ask('b')
  bed.complete('a', lease, { retainMs: 0, value: 'secret' })
  expect(bed.record.outcome).toBeDefined()
  expect(view(bed)).toMatchObject({ state: 'free' })
  expect(view(bed)).not.toHaveProperty('outcome')
})

test('viewOf() shows a remembered failure and how long it is remembered', () => {
  const bed = new Testbed({ negativeMs: 3_000 })
  bed.fail('a', bed.hold('a', { group: 'one' }), { permanent: true, error: { code: 'denied', message: 'no' } })
  expect(view(bed)).toMatchObject({
    state: 'failed',
    failure: { error: { code: 'denied' }, attempts: 1, retryAfterMs: 3_000, group: 'one' },
  })
})

test('stateOf() names work that goes on before what was left behind', () => {
  const bed = new Testbed()
  bed.complete('a', bed.hold('a'))
  expect(stateOf(bed.record, bed.nowMs)).toBe('done')
  bed.hold('b', { ignoreOutcome: true })
  expect(stateOf(bed.record, bed.nowMs)).toBe('held')
  bed.ask('c', { ignoreOutcome: true })
  expect(stateOf(bed.record, bed.nowMs)).toBe('queued')
})
