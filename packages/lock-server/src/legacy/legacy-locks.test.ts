import { expect, test } from 'vitest'
import { FlakyLockStore } from '../service/service.testbed.ts'
import { MemoryLockStore } from '../store/memory-lock-store.ts'
import { HOLD_MS, LegacyBed, RETAIN_MS } from './legacy.testbed.ts'

/** A store that fails after so many changes more. */
class DyingLockStore extends MemoryLockStore {
  lastSwap = Infinity

  override swap(...change: Parameters<MemoryLockStore['swap']>): Promise<boolean> {
    if (this.lastSwap === 0) return Promise.reject(new Error('the disk is full'))
    this.lastSwap--
    return super.swap(...change)
  }
}

const nobodyElse = { acquired: true, skip: false, message: expect.any(String) }
const inQueue = { acquired: false, skip: false, message: expect.any(String) }
const done = { acquired: false, skip: true, message: expect.any(String) }

test('POST /lock gives a free resource to the node that asks, however often it asks', async () => {
  await using bed = await LegacyBed.start()
  for (let time = 0; time < 3; time++) expect(await bed.lock('a')).toEqual({ status: 200, body: nobodyElse })
  expect(await bed.record()).toMatchObject({ state: 'held', holders: [{ node: 'a' }] })
})

test('POST /lock puts a node into the queue once, also when it asks many times at once', async () => {
  await using bed = await LegacyBed.start()
  await bed.acquire('a')
  const answers = await Promise.all(Array.from({ length: 10 }, () => bed.lock('b')))
  expect(answers).toEqual(Array.from({ length: 10 }, () => ({ status: 200, body: inQueue })))
  expect(await bed.lock('b')).toEqual({ status: 200, body: inQueue })
  expect((await bed.record())['queue']).toMatchObject([{ node: 'b' }])
})

test('POST /lock that arrives many times at once for a free resource is one wish', async () => {
  await using bed = await LegacyBed.start()
  const answers = await Promise.all(Array.from({ length: 10 }, () => bed.lock('a')))
  expect(answers.map(({ body }) => body['acquired'])).toEqual(Array.from({ length: 10 }, () => true))
  expect(await bed.record()).toMatchObject({ holders: [{ node: 'a' }], queue: [] })
})

test('a completed pull is told to everyone, is never used up, and ends with its retention', async () => {
  await using bed = await LegacyBed.start()
  await bed.acquire('a')
  await bed.queue('b')
  expect(await bed.unlock('a')).toEqual({ status: 200, body: { released: true, message: expect.any(String) } })
  for (const node of ['b', 'c', 'c', 'a', 'b']) expect(await bed.lock(node)).toEqual({ status: 200, body: done })
  await bed.clock.pass(RETAIN_MS - 1)
  expect((await bed.lock('d')).body).toEqual(done)
  await bed.clock.pass(1)
  expect((await bed.lock('d')).body).toEqual(nobodyElse)
})

test('of many nodes that pull at once one gets the lock, and all others skip when it is done', async () => {
  await using bed = await LegacyBed.start()
  const nodes = Array.from({ length: 200 }, (_, index) => `node-${index}`)
  const answers = await Promise.all(nodes.map((node) => bed.lock(node)))
  const holders = nodes.filter((_, index) => answers[index]!.body['acquired'] === true)
  expect(holders).toHaveLength(1)
  expect((await bed.record())['queue']).toHaveLength(199)
  await bed.unlock(holders[0]!)
  const others = nodes.filter((node) => node !== holders[0])
  const again = await Promise.all(others.map((node) => bed.lock(node)))
  expect(again.map(({ body }) => body)).toEqual(others.map(() => done))
})

test.each([
  [{}, true],
  [{ success: true }, true],
  [{ success: false }, false],
  [{ error: 'no space' }, false],
  [{ success: true, error: 'a warning' }, true],
  [{ success: false, error: null }, false],
  [{ success: null, error: '' }, true],
])('POST /unlock takes %j for a success: %j', async (result, success) => {
  await using bed = await LegacyBed.start()
  await bed.acquire('a')
  expect((await bed.unlock('a', result)).status).toBe(200)
  expect(await bed.status('b')).toEqual({ acquired: false, completed: true, success })
})

test('POST /unlock by who is not the holder is refused, and changes nothing', async () => {
  await using bed = await LegacyBed.start()
  await bed.acquire('a')
  await bed.queue('b')
  const refused = { status: 403, body: { released: false, message: expect.any(String) } }
  expect(await bed.unlock('b')).toEqual(refused)
  expect(await bed.unlock('nobody')).toEqual(refused)
  expect(await bed.unlock('a', {}, 'update')).toEqual(refused)
  expect(await bed.unlock('a', {}, 'pull', 'another')).toEqual(refused)
  expect(await bed.status('a')).toEqual({ acquired: true, completed: false, success: false })
  await bed.unlock('a')
  expect(await bed.unlock('a')).toEqual(refused)
})

test('a failure makes the next node in line the holder, without a call of it', async () => {
  await using bed = await LegacyBed.start()
  await bed.acquire('a')
  await bed.queue('b')
  await bed.queue('c')
  await bed.unlock('a', { error: 'no route' })
  expect(await bed.status('b')).toEqual({ acquired: true, completed: false, success: false })
  expect(await bed.status('c')).toEqual({ acquired: false, completed: false, success: false })
  // Longer than an offer is open to those who must take it up.
  await bed.clock.pass(HOLD_MS - 1)
  expect((await bed.lock('b')).body).toEqual(nobodyElse)
  expect((await bed.unlock('b')).status).toBe(200)
  expect((await bed.lock('c')).body).toEqual(done)
})

test('a failure is no reason to give up, however many there are in a row', async () => {
  await using bed = await LegacyBed.start()
  const nodes = Array.from({ length: 120 }, (_, index) => `node-${index}`)
  for (const node of nodes) await bed.lock(node)
  for (const node of nodes) expect((await bed.unlock(node, { error: `${node} broke` })).status).toBe(200)
  await bed.acquire('late')
  expect((await bed.unlock('late')).status).toBe(200)
  expect((await bed.lock('later')).body).toEqual(done)
})

test('holds that end by their time are no reason to give up either', async () => {
  await using bed = await LegacyBed.start()
  for (const node of ['a', 'b', 'c', 'd', 'e']) await bed.lock(node)
  for (const node of ['a', 'b', 'c', 'd']) {
    expect(await bed.status(node)).toMatchObject({ acquired: true })
    await bed.clock.pass(HOLD_MS + 1)
  }
  expect(await bed.status('e')).toMatchObject({ acquired: true })
  expect((await bed.unlock('a')).status).toBe(403)
})

test('a hold ends as failed when nobody ends it', async () => {
  await using bed = await LegacyBed.start()
  await bed.acquire('a')
  await bed.clock.pass(HOLD_MS - 1)
  expect(await bed.status('a')).toMatchObject({ acquired: true })
  await bed.clock.pass(2)
  expect(await bed.status('a')).toEqual({ acquired: false, completed: true, success: false })
  expect((await bed.lock('b')).body).toEqual(nobodyElse)
})

test('an update always runs, and leaves the pull that was completed as it is', async () => {
  await using bed = await LegacyBed.start()
  await bed.pull('a')
  for (const node of ['b', 'c']) {
    await bed.acquire(node, 'update')
    expect((await bed.lock('d')).body).toEqual(done)
    expect((await bed.unlock(node, {}, 'update')).status).toBe(200)
    expect(await bed.status(node, 'update')).toEqual({ acquired: false, completed: true, success: true })
  }
  expect((await bed.lock('e')).body).toEqual(done)
})

test('an update that waited behind a pull runs after it, and so does one behind an update', async () => {
  await using bed = await LegacyBed.start()
  await bed.acquire('a')
  await bed.queue('b', 'update')
  await bed.queue('c', 'update')
  await bed.unlock('a')
  expect(await bed.status('b', 'update')).toMatchObject({ acquired: true })
  await bed.unlock('b', {}, 'update')
  expect(await bed.status('c', 'update')).toMatchObject({ acquired: true })
})

test('the three types exclude each other, those of one node as well', async () => {
  await using bed = await LegacyBed.start()
  await bed.acquire('a', 'update')
  await bed.queue('a', 'pull')
  await bed.queue('b', 'pull')
  await bed.queue('c', 'delete')
  expect(await bed.status('a', 'pull')).toMatchObject({ acquired: false })
  await bed.unlock('a', {}, 'update')
  expect(await bed.status('a', 'pull')).toMatchObject({ acquired: true })
})

test('resources do not know of each other', async () => {
  await using bed = await LegacyBed.start()
  await bed.acquire('a', 'pull', 'one')
  await bed.acquire('b', 'pull', 'docker.io/library/alpine:3 · ü')
  expect(await bed.status('a', 'pull', 'docker.io/library/alpine:3 · ü')).toMatchObject({ acquired: false })
})

test('a delete is refused while another node references the resource, however long ago that pulled it', async () => {
  await using bed = await LegacyBed.start()
  await bed.pull('a')
  await bed.clock.pass(RETAIN_MS * 2)
  const refused = { ...inQueue, error: expect.stringContaining('referenced') }
  expect(await bed.lock('b', 'delete')).toEqual({ status: 403, body: refused })
  expect((await bed.record())['queue']).toEqual([])
  // Who was told to skip has not pulled it.
  await bed.pull('c')
  expect((await bed.lock('d')).body).toEqual(done)
  await bed.acquire('a', 'update')
  expect(await bed.lock('b', 'delete')).toEqual({ status: 403, body: refused })
})

test('a delete by the only node that references the resource clears the outcome and the references', async () => {
  await using bed = await LegacyBed.start()
  await bed.pull('a')
  await bed.acquire('a', 'delete')
  expect((await bed.unlock('a', {}, 'delete')).status).toBe(200)
  expect(await bed.status('a', 'delete')).toEqual({ acquired: false, completed: true, success: true })
  expect(await bed.status('a')).toEqual({ acquired: false, completed: false, success: false })
  await bed.acquire('b', 'delete')
  await bed.unlock('b', {}, 'delete')
  expect((await bed.lock('c')).body).toEqual(nobodyElse)
})

test('a delete that failed leaves the outcome and the references', async () => {
  await using bed = await LegacyBed.start()
  await bed.pull('a')
  await bed.acquire('a', 'delete')
  await bed.unlock('a', { error: 'busy' }, 'delete')
  expect((await bed.lock('c')).body).toEqual(done)
  expect((await bed.lock('b', 'delete')).status).toBe(403)
})

test('a delete whose turn comes when others reference the resource is passed over', async () => {
  await using bed = await LegacyBed.start()
  await bed.acquire('a')
  await bed.queue('b', 'delete')
  await bed.queue('c', 'update')
  await bed.unlock('a')
  await expect.poll(() => bed.status('c', 'update')).toMatchObject({ acquired: true })
  expect(await bed.status('b', 'delete')).toEqual({ acquired: false, completed: true, success: false })
  expect((await bed.unlock('b', {}, 'delete')).status).toBe(403)
  expect((await bed.lock('b', 'delete')).status).toBe(403)
})

test('a delete whose turn comes when nobody else references the resource is the holder', async () => {
  await using bed = await LegacyBed.start()
  await bed.acquire('a')
  await bed.queue('a', 'delete')
  await bed.unlock('a')
  await expect.poll(() => bed.status('a', 'delete')).toMatchObject({ acquired: true })
})

test('a pull that failed is no reference', async () => {
  await using bed = await LegacyBed.start()
  await bed.acquire('a')
  await bed.unlock('a', { error: 'no luck' })
  await bed.acquire('b', 'delete')
  expect(await bed.status('b', 'delete')).toMatchObject({ acquired: true })
})

test('POST /lock and /unlock say that the store fails, and can be repeated when it does not', async () => {
  const store = new FlakyLockStore()
  await using bed = await LegacyBed.start({ openStore: () => store })
  await bed.acquire('a')
  store.failing = true
  const failed = { status: 503, body: { error: expect.stringContaining('store') } }
  expect(await bed.lock('a', 'pull', 'another')).toEqual(failed)
  expect(await bed.unlock('a')).toMatchObject({ status: 503, body: { error: expect.any(String) } })
  store.failing = false
  expect((await bed.unlock('a')).status).toBe(200)
  expect((await bed.lock('b')).body).toEqual(done)
})

test('a node whose turn came while the store failed has a place all the same', async () => {
  const store = new DyingLockStore()
  await using bed = await LegacyBed.start({ openStore: () => store })
  await bed.acquire('a')
  await bed.queue('b')
  const subscription = await bed.subscribe()
  store.lastSwap = 1
  await bed.clock.pass(HOLD_MS + 1)
  expect(await bed.record()).toMatchObject({ holders: [{ node: 'b', offered: true }] })
  await bed.clock.pass(20_000)
  store.lastSwap = Infinity
  await bed.clock.pass(2_000)
  await expect.poll(() => bed.status('b')).toMatchObject({ acquired: true })
  const told = await subscription.until(2)
  expect(told).toMatchObject([
    { node_id: 'a', success: false },
    { node_id: 'b', success: false },
  ])
})
