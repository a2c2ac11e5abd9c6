import { expect, test } from 'vitest'
import { LockServer, MemoryLockStore } from '../../lock-server/src/index.ts'
import { ClientBed } from './client.testbed.ts'
import { LeaseLostError, SessionExpiredError } from './errors.ts'
import { fetchThrough } from './fetch.testbed.ts'

const startServer = (port: number) => LockServer.start({ host: '127.0.0.1', port, store: new MemoryLockStore() })

/** A client whose renewals are counted. */
async function renewing(bed: ClientBed, sessionTtlMs?: number) {
  const seen = { renewals: 0, ids: [] as string[] }
  const fetching = fetchThrough((path, send) => {
    if (path === '/v1/sessions/renew') seen.renewals++
    return send()
  })
  const locks = bed.newClient('a', { sessionTtlMs, fetch: fetching, onSession: ({ id }) => seen.ids.push(id) })
  return { seen, locks, lease: await locks.acquire('k') }
}

test.concurrent('lease.renewed resolves with each renewal of the session', async () => {
  await using bed = await ClientBed.start(startServer)
  const { seen, lease } = await renewing(bed, 6_000)
  for (let round = 1; round <= 2; round++) {
    await lease.renewed
    expect(seen.renewals).toBeGreaterThanOrEqual(round)
  }
  expect(lease.held).toBe(true)
})

test.concurrent('renew() renews at once, and lease.renewed resolves', async () => {
  await using bed = await ClientBed.start(startServer)
  const locks = bed.newClient('a')
  await locks.renew()
  const lease = await locks.acquire('k')
  const renewed = lease.renewed
  await locks.renew()
  await renewed
  expect(lease.held).toBe(true)
})

test.concurrent('lease.renewed does not resolve by a renewal that was on its way when it was asked for', async () => {
  await using bed = await ClientBed.start(startServer)
  const { promise: held, resolve: letGo } = Promise.withResolvers<void>()
  const { promise: reached, resolve: reach } = Promise.withResolvers<void>()
  let renewals = 0
  const fetching = fetchThrough(async (path, send) => {
    if (path !== '/v1/sessions/renew' || ++renewals > 1) return send()
    reach()
    await held
    return send()
  })
  const locks = bed.newClient('a', { fetch: fetching, sessionTtlMs: 600_000, tryTimeoutMs: 60_000 })
  const lease = await locks.acquire('k')
  const first = lease.renewed
  let isRenewed = false
  const confirmed = locks.renew()
  await reached
  const second = lease.renewed.then(() => (isRenewed = true))
  letGo()
  await Promise.all([confirmed, first])
  expect(isRenewed).toBe(false)
  await locks.renew()
  expect(await second).toBe(true)
})

test.concurrent('lease.renewed rejects when the lease is released before', async () => {
  await using bed = await ClientBed.start(startServer)
  const { lease } = await renewing(bed)
  const { renewed } = lease
  await lease.release()
  await expect(renewed).rejects.toBeInstanceOf(LeaseLostError)
  await expect(lease.renewed).rejects.toBeInstanceOf(LeaseLostError)
})

test.concurrent('lease.renewed rejects when the session is lost, and renew() tells of it at once', async () => {
  await using bed = await ClientBed.start(startServer)
  const { seen, locks, lease } = await renewing(bed)
  // Nobody handles this one, which must not be an unhandled rejection.
  void lease.renewed
  await bed.endSession(seen.ids[0])
  await expect(locks.renew()).rejects.toBeInstanceOf(SessionExpiredError)
  expect(lease.signal.aborted).toBe(true)
  await expect(lease.renewed).rejects.toBeInstanceOf(LeaseLostError)
})

test.concurrent('lease.renewed rejects when maxHoldMs is over', async () => {
  await using bed = await ClientBed.start(startServer)
  const lease = await bed.newClient('a').acquire('k', { maxHoldMs: 50 })
  await expect(lease.renewed).rejects.toBeInstanceOf(LeaseLostError)
})

test.concurrent('a signal ends the waiting of release(), not the ending of the lease', async () => {
  await using bed = await ClientBed.start(startServer)
  const { promise: held, resolve: letGo } = Promise.withResolvers<void>()
  const { promise: reached, resolve: reach } = Promise.withResolvers<void>()
  const fetching = fetchThrough(async (path, send) => {
    if (!path.endsWith('/release')) return send()
    reach()
    await held
    return send()
  })
  const lease = await bed.newClient('a', { fetch: fetching }).acquire('k')
  const controller = new AbortController()
  const releasing = lease.release({ signal: controller.signal })
  const reason = new Error('enough')
  await reached
  controller.abort(reason)
  await expect(releasing).rejects.toBe(reason)
  letGo()
  expect(await bed.newClient('b').acquire('k')).toMatchObject({ held: true })
  expect(lease.held).toBe(false)
})
