import { expect, test, vi } from 'vitest'
import { LockServer, MemoryLockStore } from '../../lock-server/src/index.ts'
import { ClientClosedError, LockFailedError, LockTimeoutError } from './errors.ts'
import { ClientBed } from './client.testbed.ts'
import type { LockClient } from './lock-client.ts'

const UNTIL = { timeout: 15_000, interval: 10 }

const startServer = (port: number) => LockServer.start({ host: '127.0.0.1', port, store: new MemoryLockStore() })

/** Waits until so many tickets wait for the key. */
async function untilQueued(locks: LockClient, key: string, count: number): Promise<void> {
  await vi.waitFor(async () => expect((await locks.poll(key)).queue).toHaveLength(count), UNTIL)
}

test.concurrent('acquire() holds the key until it is released, and then hands it on with a larger token', async () => {
  await using bed = await ClientBed.start(startServer)
  const [a, b] = [bed.newClient('a'), bed.newClient('b')]
  const lease = await a.acquire('k')
  expect(lease).toMatchObject({ key: 'k', attempt: 1, held: true })
  const waiting = b.acquire('k')
  await untilQueued(a, 'k', 1)
  await lease.release()
  expect(lease.held).toBe(false)
  const next = await waiting
  expect(next.fencingToken).toBeGreaterThan(lease.fencingToken)
  expect(next.held).toBe(true)
})

test.concurrent('acquire() grants in the order in which the clients came', async () => {
  await using bed = await ClientBed.start(startServer)
  const [a, b] = [bed.newClient('a'), bed.newClient('b')]
  const order: number[] = []
  const first = await a.acquire('k')
  const waiting = []
  for (let index = 0; index < 5; index++) {
    const taken = async () => {
      await using lease = await (index % 2 === 0 ? a : b).acquire('k')
      order.push(index)
      expect(lease.held).toBe(true)
    }
    waiting.push(taken())
    await untilQueued(a, 'k', index + 1)
  }
  await first.release()
  await Promise.all(waiting)
  expect(order).toEqual([0, 1, 2, 3, 4])
})

test.concurrent('acquire() lets as many hold the key as its limit says', async () => {
  await using bed = await ClientBed.start(startServer)
  const [a, b] = [bed.newClient('a'), bed.newClient('b')]
  const [first] = await Promise.all([a.acquire('k', { limit: 2 }), b.acquire('k', { limit: 2 })])
  expect(await a.tryAcquire('k', { limit: 2 })).toBeUndefined()
  await first.release()
  expect(await a.tryAcquire('k', { limit: 2 })).toBeDefined()
  await expect(b.acquire('k', { limit: 3 })).rejects.toMatchObject({ code: 'limit_mismatch' })
})

test.concurrent('tryAcquire() gives the lease if the key is free, and undefined if not', async () => {
  await using bed = await ClientBed.start(startServer)
  const [a, b] = [bed.newClient('a'), bed.newClient('b')]
  const lease = await a.tryAcquire('k')
  expect(lease?.held).toBe(true)
  expect(await b.tryAcquire('k')).toBeUndefined()
  await lease?.release()
  expect(await b.tryAcquire('k')).toBeDefined()
})

test.concurrent('acquire() does not read outcomes, as a mutex', async () => {
  await using bed = await ClientBed.start(startServer)
  const a = bed.newClient('a')
  await a.once('k', async () => 1)
  expect(await a.acquire('k')).toMatchObject({ held: true })
})

test.concurrent('once() does the work in one place and gives its result to all', async () => {
  await using bed = await ClientBed.start(startServer)
  let runs = 0
  const clients = ['a', 'b', 'c', 'd', 'e'].map((node) => bed.newClient(node))
  const work = async () => {
    runs++
    await vi.waitFor(async () => expect((await clients[0]!.poll('k')).queue).toHaveLength(4), UNTIL)
    return { answer: 42 }
  }
  const results = await Promise.all(clients.map((locks) => locks.once('k', work)))
  expect(runs).toBe(1)
  expect(results.map(({ value }) => value)).toEqual(clients.map(() => ({ answer: 42 })))
  const ran = results.filter((result) => result.ran)
  expect(ran).toHaveLength(1)
  expect(new Set(results.map(({ by }) => by)).size).toBe(1)
  expect(results.filter((result) => !result.ran).map(({ attempts }) => attempts)).toEqual([0, 0, 0, 0])
  expect(await clients[0]!.once('k', work)).toMatchObject({ ran: false, value: { answer: 42 } })
})

test.concurrent('once() with retainMs 0 gives the result to those who waited, and works anew for who comes later', async () => {
  await using bed = await ClientBed.start(startServer)
  const [a, b] = [bed.newClient('a'), bed.newClient('b')]
  const first = a.once(
    'k',
    async () => {
      await untilQueued(a, 'k', 1)
      return 1
    },
    { retainMs: 0 },
  )
  await vi.waitFor(async () => expect((await b.poll('k')).state).toBe('held'), UNTIL)
  expect(await b.once('k', async () => 2)).toMatchObject({ ran: false, value: 1, by: 'a' })
  await first
  expect(await b.once('k', async () => 3)).toMatchObject({ ran: true, value: 3 })
})

test.concurrent('once() rethrows what the work throws, and the next one runs with attempt 2 and the error', async () => {
  await using bed = await ClientBed.start(startServer)
  const [a, b] = [bed.newClient('a'), bed.newClient('b')]
  const broken = Object.assign(new Error('it broke'), { code: 'EBROKEN' })
  const failing = a.once('k', async () => {
    await untilQueued(a, 'k', 1)
    throw broken
  })
  const rejected = failing.catch((error: unknown) => error)
  await vi.waitFor(async () => expect((await b.poll('k')).state).toBe('held'), UNTIL)
  const result = await b.once('k', async ({ attempt, lastError }) => ({ attempt, lastError }))
  expect(result).toMatchObject({ ran: true, attempts: 2, by: 'b' })
  expect(result.value).toEqual({ attempt: 2, lastError: { code: 'EBROKEN', message: 'it broke' } })
  expect(await rejected).toBe(broken)
})

test.concurrent('once() tells those who wait that the work has failed too often', async () => {
  await using bed = await ClientBed.start(startServer)
  const locks = ['a', 'b', 'c'].map((node) => bed.newClient(node))
  for (const one of locks) {
    await expect(one.once('k', () => Promise.reject(new Error('it broke')))).rejects.toThrow('it broke')
  }
  const error: unknown = await bed
    .newClient('d')
    .once('k', async () => 1)
    .catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(LockFailedError)
  expect(error).toMatchObject({ code: 'failed', attempts: 3, error: { message: 'it broke' }, key: 'k' })
})

test.concurrent.each([
  ['cannot be written as JSON', () => 1n, { name: 'TypeError' }],
  ['is too large', () => 'x'.repeat(2 * 1024 * 1024), { code: 'too_large' }],
])('once() frees the key when the result %s', async (_what, makeValue, error) => {
  await using bed = await ClientBed.start(startServer)
  const [a, b] = [bed.newClient('a'), bed.newClient('b')]
  const working = a.once<unknown>('k', async () => makeValue())
  await expect(working).rejects.toMatchObject(error)
  expect(await b.once('k', async ({ attempt }) => attempt)).toMatchObject({ ran: true, value: 2 })
})

test.concurrent('wait() resolves when nobody holds the key any more, without taking it', async () => {
  await using bed = await ClientBed.start(startServer)
  const [a, b] = [bed.newClient('a'), bed.newClient('b')]
  expect(await b.wait('k')).toMatchObject({ state: 'free' })
  const lease = await a.acquire('k')
  const waiting = b.wait('k')
  await expect(b.wait('k', { timeoutMs: 30 })).rejects.toBeInstanceOf(LockTimeoutError)
  await lease.complete({ value: 1 })
  expect(await waiting).toMatchObject({ state: 'done', outcome: { value: 1, by: { node: 'a' } } })
})

test.concurrent('poll() shows the state as it is', async () => {
  await using bed = await ClientBed.start(startServer)
  const a = bed.newClient('a')
  expect(await a.poll('a/b ü')).toMatchObject({ key: 'a/b ü', state: 'free' })
  const lease = await a.acquire('a/b ü')
  await lease.progress(3, 9)
  expect(await a.poll('a/b ü')).toMatchObject({
    state: 'held',
    holders: [{ node: 'a', progress: { done: 3, total: 9 } }],
  })
})

test.concurrent('acquire() throws LockTimeoutError after timeoutMs, and leaves the queue', async () => {
  await using bed = await ClientBed.start(startServer)
  const [a, b] = [bed.newClient('a'), bed.newClient('b')]
  const lease = await a.acquire('k')
  const error: unknown = await b.acquire('k', { timeoutMs: 50 }).catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(LockTimeoutError)
  expect(error).toMatchObject({ code: 'timeout', key: 'k', message: 'k: not there within 50 ms' })
  await untilQueued(a, 'k', 0)
  await lease.release()
  expect(await a.poll('k')).toMatchObject({ state: 'free' })
})

test.concurrent('acquire() rejects with the reason of its signal, and leaves the queue', async () => {
  await using bed = await ClientBed.start(startServer)
  const [a, b] = [bed.newClient('a'), bed.newClient('b')]
  await a.acquire('k')
  const controller = new AbortController()
  const waiting = b.acquire('k', { signal: controller.signal, timeoutMs: 60_000 })
  await untilQueued(a, 'k', 1)
  const reason = new Error('enough')
  controller.abort(reason)
  await expect(waiting).rejects.toBe(reason)
  await untilQueued(a, 'k', 0)
  await expect(b.acquire('k', { signal: controller.signal })).rejects.toBe(reason)
})

test.concurrent('close() ends the session with all its leases and wishes, once and for all', async () => {
  await using bed = await ClientBed.start(startServer)
  const [a, b] = [bed.newClient('a'), bed.newClient('b')]
  const lease = await a.acquire('k')
  const other = await b.acquire('other')
  const waiting = a.acquire('other').catch((reason: unknown) => reason)
  await untilQueued(b, 'other', 1)
  await a.close()
  expect(lease.signal.aborted).toBe(true)
  expect(await waiting).toBeInstanceOf(ClientClosedError)
  expect(await b.tryAcquire('k')).toBeDefined()
  expect((await b.nodes()).map(({ node }) => node)).toEqual(['b'])
  await untilQueued(b, 'other', 0)
  expect(other.held).toBe(true)
  await expect(a.acquire('k')).rejects.toBeInstanceOf(ClientClosedError)
  await a.close()
})

test.concurrent('close() does not throw when the server is away', async () => {
  await using bed = await ClientBed.start(startServer)
  const a = bed.newClient('a')
  await a.connect()
  await bed.stopServer()
  await a.close()
  await bed.restartServer()
  expect(await bed.newClient('b').nodes()).toEqual([])
})

test.concurrent('forget() forgets the outcome with the token, once', async () => {
  await using bed = await ClientBed.start(startServer)
  const a = bed.newClient('a')
  const lease = await a.acquire('k')
  await lease.complete({ value: 1 })
  expect(await a.forget('k', { ifToken: lease.fencingToken + 1 })).toBe(false)
  expect(await a.forget('k', { ifToken: lease.fencingToken })).toBe(true)
  expect(await a.forget('k')).toBe(false)
})

test.concurrent('updateCopies() lists what this session has, also when the session was lost meanwhile', async () => {
  await using bed = await ClientBed.start(startServer)
  const ids: string[] = []
  const a = bed.newClient('a', { endpoint: 'http://a', onSession: ({ id }) => ids.push(id) })
  expect(await a.updateCopies({ add: ['blob/1'] })).toEqual({ added: 1, removed: 0 })
  await bed.endSession(ids[0])
  expect(await a.poll('blob/1')).toMatchObject({ state: 'free' })
  expect(await a.updateCopies({ add: ['blob/1'] })).toEqual({ added: 1, removed: 0 })
  expect(ids).toHaveLength(2)
  expect(await a.poll('blob/1')).toMatchObject({ state: 'done', outcome: { copies: [{ node: 'a' }] } })
})
