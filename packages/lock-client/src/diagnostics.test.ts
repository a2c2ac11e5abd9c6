import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { LockServer, MemoryLockStore } from '../../lock-server/src/index.ts'
import { ClientBed } from './client.testbed.ts'
import { LeaseLostError, LockServerUnavailableError, SessionExpiredError } from './errors.ts'

const UNTIL = { timeout: 15_000, interval: 10 }
const NAMES = ['session:opened', 'session:lost', 'lease:granted', 'lease:ended', 'lease:lost', 'request:retry']

const startServer = (port: number) => LockServer.start({ host: '127.0.0.1', port, store: new MemoryLockStore() })

const told: { readonly name: string; readonly message: unknown }[] = []
const listen = (message: unknown, name: string | symbol) => told.push({ name: String(name).slice(17), message })

beforeEach(() => {
  told.length = 0
  for (const name of NAMES) subscribe(`layerlock:client:${name}`, listen)
})
afterEach(() => {
  for (const name of NAMES) unsubscribe(`layerlock:client:${name}`, listen)
})

test('the channels tell of a session and of leases that are granted and ended', async () => {
  await using bed = await ClientBed.start(startServer)
  const a = bed.newClient('a')
  const [first, second, third] = [await a.acquire('k'), await a.acquire('l'), await a.acquire('m')]
  await first.release()
  await second.complete()
  await third.fail({ code: 'broken', message: 'no luck' })
  await a.close()
  const lease = ({ key, fencingToken }: typeof first) => ({ key, fencingToken, attempt: 1 })
  expect(told).toEqual([
    { name: 'session:opened', message: { node: 'a', ttlMs: 15_000, resumed: false } },
    { name: 'lease:granted', message: lease(first) },
    { name: 'lease:granted', message: lease(second) },
    { name: 'lease:granted', message: lease(third) },
    { name: 'lease:ended', message: { ...lease(first), how: 'release' } },
    { name: 'lease:ended', message: { ...lease(second), how: 'complete' } },
    { name: 'lease:ended', message: { ...lease(third), how: 'fail' } },
  ])
})

test('the channels tell of a session and a lease that are lost', async () => {
  await using bed = await ClientBed.start(startServer)
  const ids: string[] = []
  const a = bed.newClient('a', { onSession: ({ id }) => ids.push(id) })
  const lease = await a.acquire('k')
  await bed.endSession(ids[0])
  await a.renew().catch(() => undefined)
  await vi.waitFor(() => expect(told.map(({ name }) => name)).toContain('session:lost'), UNTIL)
  const messageOf = (name: string) => told.find((each) => each.name === name)?.message
  expect(messageOf('session:lost')).toEqual({ node: 'a', error: expect.any(SessionExpiredError) })
  const { key, fencingToken } = lease
  expect(messageOf('lease:lost')).toEqual({ key, fencingToken, attempt: 1, error: expect.any(SessionExpiredError) })
  expect(JSON.stringify(told)).not.toContain(ids[0])
})

test('the channels tell of a lease whose maxHoldMs is over', async () => {
  await using bed = await ClientBed.start(startServer)
  const lease = await bed.newClient('a').acquire('k', { maxHoldMs: 30 })
  await expect(lease.renewed).rejects.toThrow('is held no longer')
  expect(told.at(-1)).toMatchObject({ name: 'lease:lost', message: { key: 'k', error: expect.any(LeaseLostError) } })
})

test('the channels tell of retries', async () => {
  await using bed = await ClientBed.start(startServer)
  await bed.stopServer()
  await expect(bed.newClient('a', { unavailableTimeoutMs: 300 }).poll('k')).rejects.toThrow('cannot be reached')
  expect(told[0]).toEqual({
    name: 'request:retry',
    message: { retry: 1, waitMs: expect.any(Number), error: expect.any(LockServerUnavailableError) },
  })
})
