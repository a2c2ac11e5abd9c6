import { expect, test, vi } from 'vitest'
import { LockServer, MemoryLockStore } from '../../lock-server/src/index.ts'
import { LeaseLostError } from './errors.ts'
import type { Lease } from './lease.ts'
import { ClientBed } from './client.testbed.ts'
import { fetchThrough } from './fetch.testbed.ts'
import { Link } from './link.testbed.ts'

const UNTIL = { timeout: 15_000, interval: 10 }

const startServer = (port: number) => LockServer.start({ host: '127.0.0.1', port, store: new MemoryLockStore() })

async function aborted(lease: Lease): Promise<void> {
  await vi.waitFor(() => expect(lease.signal.aborted).toBe(true), UNTIL)
}

test.concurrent('a lease whose session is lost is aborted before the server grants the key to another', async () => {
  await using bed = await ClientBed.start(startServer)
  await using link = await Link.to(bed.url)
  const a = bed.newClient('a', { url: link.url, sessionTtlMs: 1_000, tryTimeoutMs: 200 })
  const b = bed.newClient('b')
  const lease = await a.acquire('k')
  const events: string[] = []
  lease.signal.addEventListener('abort', () => events.push('aborted'))
  const waiting = b.acquire('k').then((next) => {
    events.push('granted')
    return next
  })
  link.blocked = true
  const next = await waiting
  expect(events).toEqual(['aborted', 'granted'])
  expect(lease.held).toBe(false)
  expect(() => lease.assertHeld()).toThrow(LeaseLostError)
  expect(lease.signal.reason).toMatchObject({ code: 'session_expired' })
  expect(next).toMatchObject({ attempt: lease.attempt + 1, lastError: { code: 'session_expired' } })
})

test.concurrent('a lease that was lost refuses to end in any way, without asking the server', async () => {
  await using bed = await ClientBed.start(startServer)
  const ids: string[] = []
  const a = bed.newClient('a', { onSession: ({ id }) => ids.push(id) })
  const lease = await a.acquire('k')
  await bed.endSession(ids[0])
  await expect(lease.complete({ value: 1 })).rejects.toBeInstanceOf(LeaseLostError)
  expect(lease.signal.aborted).toBe(true)
  for (const end of [() => lease.complete(), () => lease.release(), () => lease.fail({ code: 'c', message: 'm' })]) {
    await expect(end()).rejects.toBeInstanceOf(LeaseLostError)
  }
  expect(await bed.newClient('b').poll('k')).toMatchObject({ state: 'free' })
})

test.concurrent('assertHeld() is content with a lease that is held, and only then', async () => {
  await using bed = await ClientBed.start(startServer)
  const lease = await bed.newClient('a').acquire('k')
  lease.assertHeld()
  await lease.release()
  expect(() => lease.assertHeld()).toThrow('the lease on k is held no longer')
  expect(lease.signal.aborted).toBe(true)
  await expect(lease.release()).rejects.toBeInstanceOf(LeaseLostError)
})

test.concurrent("disposing a lease releases it, and never hides the work's error", async () => {
  await using bed = await ClientBed.start(startServer)
  await using link = await Link.to(bed.url)
  const a = bed.newClient('a', { url: link.url, sessionTtlMs: 1_000, tryTimeoutMs: 100 })
  const failing = async () => {
    await using lease = await a.acquire('k')
    link.blocked = true
    throw new Error(`the work on ${lease.key} failed`)
  }
  await expect(failing()).rejects.toThrow('the work on k failed')
  link.blocked = false
  const b = bed.newClient('b')
  {
    await using lease = await b.acquire('k')
    lease.assertHeld()
  }
  expect(await b.poll('k')).toMatchObject({ state: 'free' })
})

test.concurrent('a lease that could not be released while the server was away is released when it is back', async () => {
  await using bed = await ClientBed.start(startServer)
  let away = false
  const fetching = fetchThrough((path, send) =>
    away && path.endsWith('/release') ? Promise.reject(new TypeError('away')) : send(),
  )
  const a = bed.newClient('a', { fetch: fetching, sessionTtlMs: 3_000 })
  const lease = await a.acquire('k')
  away = true
  await expect(lease.release()).rejects.toMatchObject({ code: 'unavailable' })
  expect(lease.held).toBe(false)
  away = false
  expect(await bed.newClient('b').acquire('k')).toMatchObject({ attempt: 1 })
})

test.concurrent('disposing a lease that was completed changes nothing', async () => {
  await using bed = await ClientBed.start(startServer)
  const a = bed.newClient('a')
  {
    await using lease = await a.acquire('k')
    await lease.complete({ value: 1 })
  }
  expect(await a.poll('k')).toMatchObject({ state: 'done', outcome: { value: 1 } })
})

test.concurrent('complete() that is refused leaves the lease held, so that it can still be failed or released', async () => {
  await using bed = await ClientBed.start(startServer)
  const a = bed.newClient('a')
  {
    await using lease = await a.acquire('k')
    await expect(lease.complete({ value: 'x'.repeat(2 * 1024 * 1024) })).rejects.toMatchObject({ code: 'too_large' })
    expect(lease.held).toBe(true)
  }
  expect(await a.poll('k')).toMatchObject({ state: 'free' })
})

test.concurrent('complete() is repeated when its answer got lost, and counts once', async () => {
  await using bed = await ClientBed.start(startServer)
  let lose = true
  const fetching = fetchThrough(async (path, send) => {
    const answer = await send()
    if (!lose || !path.endsWith('/complete')) return answer
    lose = false
    throw new TypeError('the answer got lost')
  })
  const a = bed.newClient('a', { fetch: fetching })
  const lease = await a.acquire('k')
  await lease.complete({ value: 'once' })
  expect(lose).toBe(false)
  expect(await a.poll('k')).toMatchObject({ state: 'done', outcome: { fencingToken: lease.fencingToken } })
})

test.concurrent('complete() with copy, and with clear, say what others are told', async () => {
  await using bed = await ClientBed.start(startServer)
  const [a, b] = [bed.newClient('a', { endpoint: 'http://a' }), bed.newClient('b')]
  await (await a.acquire('k')).complete({ copy: true })
  expect(await b.ticket('k').ask()).toMatchObject({ status: 'done', copies: [{ node: 'a', endpoint: 'http://a' }] })
  const deleting = await a.ticket('k', { ignoreOutcome: true, unlessReferenced: true }).ask()
  if (deleting.status === 'granted') await deleting.lease.complete({ clear: true })
  expect(await b.poll('k')).toMatchObject({ state: 'free' })
})

test.concurrent('fail() hands on its error, cut to what the server takes', async () => {
  await using bed = await ClientBed.start(startServer)
  const [a, b] = [bed.newClient('a'), bed.newClient('b')]
  const lease = await a.acquire('k')
  await lease.fail({ code: '', message: 'm'.repeat(10_000) })
  expect(await b.acquire('k')).toMatchObject({ attempt: 2, lastError: { code: 'error', message: 'm'.repeat(4_096) } })
})

test.concurrent('progress() that cannot be delivered is dropped', async () => {
  await using bed = await ClientBed.start(startServer)
  const lease = await bed.newClient('a').acquire('k')
  await lease.release()
  await lease.progress(1)
  expect(lease.held).toBe(false)
})

test.concurrent('a lease with maxHoldMs is aborted before the server grants the key to another', async () => {
  await using bed = await ClientBed.start(startServer)
  const [a, b] = [bed.newClient('a'), bed.newClient('b')]
  const lease = await a.acquire('k', { maxHoldMs: 500 })
  const events: string[] = []
  lease.signal.addEventListener('abort', () => events.push('aborted'))
  await b.acquire('k')
  events.push('granted')
  expect(events).toEqual(['aborted', 'granted'])
  expect(lease.signal.reason).toBeInstanceOf(LeaseLostError)
  expect(() => lease.assertHeld()).toThrow(LeaseLostError)
})

test.concurrent('a lease with maxHoldMs that was waited for is held for that time from its grant on', async () => {
  await using bed = await ClientBed.start(startServer)
  const [a, b] = [bed.newClient('a'), bed.newClient('b')]
  const lease = await a.acquire('k')
  const waiting = b.acquire('k', { maxHoldMs: 600 })
  await vi.waitFor(async () => expect((await a.poll('k')).queue).toHaveLength(1), UNTIL)
  // Longer than the other one may hold the key: had it counted from its request on, it would be over.
  await new Promise((resolve) => setTimeout(resolve, 700))
  await lease.release()
  const next = await waiting
  expect(next.held).toBe(true)
  await aborted(next)
  expect(await a.acquire('k')).toMatchObject({ attempt: 2, lastError: { code: 'max_hold_exceeded' } })
})
