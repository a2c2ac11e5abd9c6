import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { expect, test, vi } from 'vitest'
import { LockServer, MemoryLockStore } from '../../lock-server/src/index.ts'
import { ClientBed } from './client.testbed.ts'
import { LeaseLostError } from './errors.ts'
import { fetchThrough } from './fetch.testbed.ts'

const UNTIL = { timeout: 15_000, interval: 10 }

const startServer = (port: number) => LockServer.start({ host: '127.0.0.1', port, store: new MemoryLockStore() })

/** A client whose calls of some name are held back, or fail, until they are let go. */
function gated(bed: ClientBed, name: string, { fails = false } = {}) {
  const { promise: open, resolve: letGo } = Promise.withResolvers<void>()
  const seen: string[] = []
  let isOpen = false
  void open.then(() => (isOpen = true))
  const fetching = fetchThrough(async (path, send) => {
    if (path.startsWith('/v1/locks/')) seen.push(path.split('/').at(-1)!)
    if (!isOpen && path.endsWith(`/${name}`)) {
      if (fails) throw new TypeError('away')
      await open
    }
    return send()
  })
  return { seen, letGo, locks: bed.newClient('a', { fetch: fetching }) }
}

test.concurrent('disposing a lease waits for a complete() that nobody waits for any more', async () => {
  await using bed = await ClientBed.start(startServer)
  const { locks, seen, letGo } = gated(bed, 'complete', { fails: true })
  const lease = await locks.acquire('k')
  const controller = new AbortController()
  const completing = lease.complete({ value: 1, signal: controller.signal })
  await vi.waitFor(() => expect(seen).toContain('complete'))
  controller.abort(new Error('enough'))
  await expect(completing).rejects.toThrow('enough')
  const disposing = lease[Symbol.asyncDispose]()
  letGo()
  await disposing
  expect(seen).not.toContain('release')
  expect(await bed.newClient('b').poll('k')).toMatchObject({ state: 'done', outcome: { value: 1 } })
})

test.concurrent('an ending waits for the one that is on its way, and comes too late when that went through', async () => {
  await using bed = await ClientBed.start(startServer)
  const { locks, seen, letGo } = gated(bed, 'complete')
  const lease = await locks.acquire('k')
  const completing = lease.complete({ value: 1 })
  const others = [lease.release(), lease.fail({ code: 'c', message: 'm' })].map((ending) =>
    ending.catch((error: unknown) => error),
  )
  await vi.waitFor(() => expect(seen).toContain('complete'))
  letGo()
  await completing
  for (const error of await Promise.all(others)) expect(error).toBeInstanceOf(LeaseLostError)
  expect(seen).toEqual(['acquire', 'complete'])
})

test.concurrent('an ending goes out when the one before it was refused', async () => {
  await using bed = await ClientBed.start(startServer)
  const lease = await bed.newClient('a').acquire('k')
  const refused = lease.complete({ value: 'x'.repeat(2 * 1024 * 1024) }).catch((error: unknown) => error)
  await lease.fail({ code: 'c', message: 'm' })
  expect(await refused).toMatchObject({ code: 'too_large' })
  expect(await bed.newClient('b').acquire('k')).toMatchObject({ attempt: 2, lastError: { code: 'c' } })
})

test.concurrent('a release does not queue behind the retries of acquires', async () => {
  await using bed = await ClientBed.start(startServer)
  let failed = 0
  const fetching = fetchThrough((path, send) => {
    if (path.startsWith('/v1/locks/busy') || path === '/v1/batch') return Promise.reject(new TypeError('away'))
    if (path.endsWith('/release') && failed++ < 3) return Promise.reject(new TypeError('away'))
    return send()
  })
  const locks = bed.newClient('a', { fetch: fetching, retriesPerSecond: 1, unavailableTimeoutMs: 3_600_000 })
  const lease = await locks.acquire('k')
  const controller = new AbortController()
  let retries = 0
  const count = () => void retries++
  subscribe('layerlock:client:request:retry', count)
  const acquiring = Array.from({ length: 100 }, (_, index) =>
    locks.acquire(`busy${index}`, { signal: controller.signal }).catch((error: unknown) => error),
  )
  // All of them want a token by then: with one a second, a release that queued would be the hundredth.
  await vi.waitFor(() => expect(retries).toBeGreaterThanOrEqual(100), UNTIL)
  unsubscribe('layerlock:client:request:retry', count)
  await lease.release()
  expect(failed).toBe(4)
  controller.abort(new Error('enough'))
  expect(await Promise.all(acquiring)).toHaveLength(100)
})
