import { expect, test } from 'vitest'
import { HOLD_MS, LegacyBed, RETAIN_MS } from './legacy.testbed.ts'
import type { LegacyEvent } from './legacy-events.ts'

const told = (node_id: string, success: boolean, more: Partial<LegacyEvent> = {}) => ({
  type: 'pull',
  resource_id: 'r',
  node_id,
  success,
  error: null,
  completed_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
  ...more,
})

test('GET /lock/subscribe tells all subscribers of a completion', async () => {
  await using bed = await LegacyBed.start()
  await bed.acquire('a')
  const subscriptions = [await bed.subscribe(), await bed.subscribe(), await bed.subscribe()]
  expect(subscriptions[0]!.response.headers.get('content-type')).toBe('text/event-stream')
  await bed.queue('b')
  await bed.unlock('a')
  for (const subscription of subscriptions) expect(await subscription.until(1)).toEqual([told('a', true)])
})

test('GET /lock/subscribe tells of a failure, and then who holds the lock now', async () => {
  await using bed = await LegacyBed.start()
  await bed.acquire('a')
  await bed.queue('b')
  const subscription = await bed.subscribe()
  await bed.unlock('a', { error: 'no route' })
  expect(await subscription.until(2)).toEqual([
    told('a', false, { error: 'no route' }),
    told('b', false, { error: 'no route' }),
  ])
  await bed.unlock('b')
  expect((await subscription.until(3))[2]).toEqual(told('b', true))
})

test('GET /lock/subscribe tells the error of every failure of a long row', async () => {
  await using bed = await LegacyBed.start()
  const subscription = await bed.subscribe()
  for (let time = 0; time < 110; time++) {
    await bed.acquire('a')
    await bed.unlock('a', { error: `error ${time}` })
  }
  const errors = (await subscription.until(110)).map(({ error }) => error)
  expect(errors).toEqual(Array.from({ length: 110 }, (_, time) => `error ${time}`))
})

test('GET /lock/subscribe tells of a failure that nobody waits behind, and once', async () => {
  await using bed = await LegacyBed.start()
  await bed.acquire('a')
  const subscription = await bed.subscribe()
  await bed.unlock('a', { success: false })
  await bed.acquire('b')
  await bed.unlock('b')
  expect(await subscription.until(2)).toEqual([told('a', false, { error: 'the node gave no reason' }), told('b', true)])
})

test('GET /lock/subscribe tells that a hold has ended by its time', async () => {
  await using bed = await LegacyBed.start()
  await bed.acquire('a')
  await bed.queue('b')
  const subscription = await bed.subscribe()
  await bed.clock.pass(HOLD_MS + 1)
  const error = 'held for longer than maxHoldMs'
  expect(await subscription.until(2)).toEqual([told('a', false, { error }), told('b', false, { error })])
})

test('GET /lock/subscribe tells only of its type and its resource', async () => {
  await using bed = await LegacyBed.start()
  const updates = await bed.subscribe('update')
  const pulls = await bed.subscribe()
  await bed.pull('a', 'another')
  await bed.acquire('b', 'update')
  await bed.queue('c')
  await bed.unlock('b', {}, 'update')
  await bed.unlock('c')
  expect(await updates.until(1)).toEqual([told('b', true, { type: 'update' })])
  // The lock was handed to c, which must learn of it.
  expect(await pulls.until(2)).toEqual([told('c', false), told('c', true)])
  expect(updates.events).toHaveLength(1)
})

test('GET /lock/subscribe tells of deletes, and of one that was passed over', async () => {
  await using bed = await LegacyBed.start()
  await bed.acquire('a')
  await bed.queue('b', 'delete')
  await bed.queue('a', 'delete')
  const deletes = await bed.subscribe('delete')
  await bed.unlock('a')
  const refused = { type: 'delete', error: expect.stringContaining('referenced') } as const
  expect(await deletes.until(2)).toEqual([told('b', false, refused), told('a', false, { type: 'delete' })])
  await bed.unlock('a', {}, 'delete')
  expect((await deletes.until(3))[2]).toEqual(told('a', true, { type: 'delete' }))
})

test('GET /lock/subscribe begins with the pull that is completed', async () => {
  await using bed = await LegacyBed.start()
  await bed.pull('a')
  await bed.clock.pass(5_000)
  const [event] = await (await bed.subscribe()).until(1)
  expect(event).toEqual(told('a', true))
  expect(Date.parse(event!.completed_at)).toBeLessThanOrEqual(Date.now() - 5_000)
  await bed.clock.pass(RETAIN_MS)
  const later = await bed.subscribe()
  await bed.pull('b')
  expect(await later.until(1)).toEqual([told('b', true)])
})

test('GET /lock/subscribe begins with the node that the lock was handed on to, while that works', async () => {
  await using bed = await LegacyBed.start()
  await bed.acquire('a')
  await bed.queue('b')
  await bed.unlock('a', { error: 'no route' })
  expect(await (await bed.subscribe()).until(1)).toEqual([told('b', false, { error: 'no route' })])
  await bed.unlock('b', { error: 'neither' })
  const later = await bed.subscribe()
  await bed.pull('c')
  expect(await later.until(1)).toEqual([told('c', true)])
})

test('a subscriber that has gone away is forgotten, and the others are told', async () => {
  await using bed = await LegacyBed.start()
  await bed.acquire('a')
  const [gone, stays] = [await bed.subscribe(), await bed.subscribe()]
  gone.close()
  await bed.unlock('a')
  expect(await stays.until(1)).toEqual([told('a', true)])
})

test('a server that stops ends its subscriptions', async () => {
  await using bed = await LegacyBed.start()
  const subscription = await bed.subscribe()
  await bed.stop()
  await expect.poll(() => subscription.hasEnded).toBe(true)
})
