import { expect, test } from 'vitest'
import { LeaseLostError, LockServerUnavailableError, SessionExpiredError } from '../errors.ts'
import { LockClient } from '../lock-client.ts'
import { loadServer } from './load-server.ts'
import { TestLockServer } from './test-lock-server.ts'

test('its clients take turns', async () => {
  await using server = await TestLockServer.start()
  const [a, b] = [server.client({ node: 'a' }), server.client({ node: 'b' })]
  const lease = await a.acquire('k')
  expect(await b.tryAcquire('k')).toBeUndefined()
  const waiting = b.acquire('k')
  await lease.release()
  expect((await waiting).fencingToken).toBeGreaterThan(lease.fencingToken)
})

test('advance() ends an outcome when its time is over, and not before', async () => {
  await using server = await TestLockServer.start()
  const locks = server.client()
  await locks.once('k', async () => 1, { retainMs: 3_600_000 })
  await server.advance(3_599_999)
  expect(await locks.once('k', async () => 2)).toMatchObject({ ran: false, value: 1 })
  await server.advance(1)
  expect(await locks.once('k', async () => 2)).toMatchObject({ ran: true, value: 2 })
})

test('advance() ends sessions, and their leases know by then', async () => {
  await using server = await TestLockServer.start()
  const [a, b] = [server.client({ node: 'a' }), server.client({ node: 'b', sessionTtlMs: 60_000 })]
  const lease = await a.acquire('k')
  const waiting = b.acquire('k')
  await server.advance(14_999)
  expect(lease.held).toBe(true)
  // It has just renewed its session.
  await server.advance(15_000)
  expect(lease.signal.aborted).toBe(true)
  expect(lease.signal.reason).toBeInstanceOf(SessionExpiredError)
  expect(() => lease.assertHeld()).toThrow(LeaseLostError)
  expect(await waiting).toMatchObject({ attempt: 2, held: true })
})

test('advance() with keepSessions ends what time ends, but no session', async () => {
  await using server = await TestLockServer.start()
  const locks = server.client({ sessionTtlMs: 1_000 })
  const lease = await locks.acquire('k')
  await locks.once('l', async () => 1, { retainMs: 2_500 })
  await server.advance(2_500, { keepSessions: true })
  expect(await locks.poll('l')).toMatchObject({ state: 'free' })
  expect(await locks.poll('k')).toMatchObject({ state: 'held' })
  expect(lease.fencingToken).toBeGreaterThan(0)
})

test('expireSessions() ends one client’s session, or all', async () => {
  await using server = await TestLockServer.start()
  const [a, b] = [server.client({ node: 'a' }), server.client({ node: 'b' })]
  const [first, second] = [await a.acquire('k'), await b.acquire('l')]
  await server.expireSessions(a)
  expect([first.signal.aborted, second.signal.aborted]).toEqual([true, false])
  expect(await b.tryAcquire('k')).toMatchObject({ held: true })
  await server.expireSessions()
  expect(second.signal.aborted).toBe(true)
})

test('goAway() cuts its clients off until comeBack()', async () => {
  await using server = await TestLockServer.start()
  const locks = server.client({ unavailableTimeoutMs: 100 })
  const lease = await locks.acquire('k')
  const patient = server.client({ node: 'b' })
  const waiting = patient.acquire('k')
  server.goAway()
  await expect(locks.poll('k')).rejects.toBeInstanceOf(LockServerUnavailableError)
  server.comeBack()
  expect(await locks.poll('k')).toMatchObject({ state: expect.stringMatching(/held|queued/) })
  await lease.release()
  expect(await waiting).toMatchObject({ held: true })
})

test('failNext() fails so many calls, which the clients try again', async () => {
  await using server = await TestLockServer.start()
  const [locks, hasty] = [server.client(), server.client({ unavailableTimeoutMs: 0 })]
  server.failNext(2)
  expect(await locks.poll('k')).toMatchObject({ state: 'free' })
  server.failNext(1)
  await expect(hasty.poll('k')).rejects.toMatchObject({ code: 'overloaded' })
})

test('it wants a token where it has some', async () => {
  await using server = await TestLockServer.start({ tokens: ['secret'] })
  expect(await server.client({ token: 'secret' }).tryAcquire('k')).toBeDefined()
  await expect(server.client({ token: 'wrong' }).tryAcquire('k')).rejects.toMatchObject({ code: 'unauthorized' })
})

test('it listens for clients that a program makes itself', async () => {
  await using server = await TestLockServer.start()
  await using locks = new LockClient({ url: server.url })
  expect(await locks.tryAcquire('k')).toBeDefined()
})

test('its watchers are told', async () => {
  await using server = await TestLockServer.start()
  const locks = server.client()
  const watch = locks.watch()
  const first = watch.next()
  const told = new AbortController()
  const known = first.then(() => told.abort())
  while (!told.signal.aborted) await (await locks.acquire('k')).release()
  await known
  expect(await first).toMatchObject({ done: false, value: { key: 'k' } })
})

test('loadServer() says what to install when the server is not there', async () => {
  const missing = Object.assign(new Error('Cannot find package'), { code: 'ERR_MODULE_NOT_FOUND' })
  await expect(loadServer(() => Promise.reject(missing))).rejects.toThrow('install it as a development dependency')
  const other = new Error('broken')
  await expect(loadServer(() => Promise.reject(other))).rejects.toBe(other)
})
