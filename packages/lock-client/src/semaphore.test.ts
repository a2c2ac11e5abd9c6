import { expect, test } from 'vitest'
import { LockServer, MemoryLockStore } from '../../lock-server/src/index.ts'
import { ClientBed } from './client.testbed.ts'
import { LockTimeoutError } from './errors.ts'
import { LockClient } from './lock-client.ts'

const startServer = (port: number) => LockServer.start({ host: '127.0.0.1', port, store: new MemoryLockStore() })

test('a semaphore lets as many in as its limit says, over all clients', async () => {
  await using bed = await ClientBed.start(startServer)
  const [a, b] = [bed.newClient('a').semaphore('k', 2), bed.newClient('b').semaphore('k', 2)]
  expect(a).toMatchObject({ key: 'k', limit: 2 })
  const [first] = await Promise.all([a.acquire(), b.acquire()])
  expect(await b.tryAcquire()).toBeUndefined()
  await expect(a.acquire({ timeoutMs: 30 })).rejects.toBeInstanceOf(LockTimeoutError)
  const waiting = b.acquire()
  await first.release()
  expect(await waiting).toMatchObject({ key: 'k', held: true })
})

test('a semaphore refuses to be used with two limits', async () => {
  await using bed = await ClientBed.start(startServer)
  const locks = bed.newClient('a')
  await locks.semaphore('k', 2).acquire()
  await expect(locks.semaphore('k', 3).tryAcquire()).rejects.toMatchObject({ code: 'limit_mismatch' })
})

test.each([0, -1, 1.5, 100_001, Number.NaN, undefined])('semaphore() refuses the limit %s', (limit) => {
  const locks = new LockClient({ url: 'http://host' })
  expect(() => locks.semaphore('k', limit as number)).toThrow(TypeError)
  expect(() => locks.semaphore('k', limit as number)).toThrow('limit: expected a whole number from 1 to 100000')
})
