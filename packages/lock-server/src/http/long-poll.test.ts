import { expect, test, vi } from 'vitest'
import { LockService } from '../service/lock-service.ts'
import { MemoryLockStore } from '../store/memory-lock-store.ts'
import { HttpBed } from './http.testbed.ts'

const WAIT = { waitMs: 20_000 }
const UNTIL = { timeout: 15_000, interval: 10 }

/** Waits until the key looks like this to everyone. */
async function untilShown(bed: HttpBed, shown: object): Promise<void> {
  await vi.waitFor(async () => expect((await bed.call('GET', '/v1/locks/k')).body).toMatchObject(shown), UNTIL)
}

async function release(bed: HttpBed, session: string, fencingToken: unknown): Promise<void> {
  const { status } = await bed.call('POST', '/v1/locks/k/release', { session, body: { fencingToken } })
  expect(status).toBe(200)
}

test('the lock server answers a long poll as soon as the ticket is granted', async () => {
  await using bed = await HttpBed.start()
  const [a, b] = [await bed.session('a'), await bed.session('b')]
  const { body } = await bed.acquire(a, 't1')
  const parked = bed.acquire(b, 't1', WAIT)
  await untilShown(bed, { state: 'queued' })
  await release(bed, a, body['fencingToken'])
  expect((await parked).body).toMatchObject({ status: 'granted' })
})

test('the lock server answers a long poll with queued when its time is over', async () => {
  await using bed = await HttpBed.start()
  const session = await bed.session('a')
  await bed.acquire(session, 't1')
  expect((await bed.acquire(session, 't2', { waitMs: 20 })).body).toMatchObject({ status: 'queued', position: 1 })
})

test('the lock server answers whoever watches a key as soon as it is free', async () => {
  await using bed = await HttpBed.start()
  const session = await bed.session('a')
  const { body } = await bed.acquire(session, 't1')
  const parked = bed.call('GET', '/v1/locks/k?waitMs=20000')
  await release(bed, session, body['fencingToken'])
  expect((await parked).body).toMatchObject({ state: 'free' })
})

test('a long poll whose connection closes takes up no offer, and the next in line gets it', async () => {
  await using service = await LockService.open({ store: new MemoryLockStore(), settings: { offerMs: 50 } })
  await using bed = await HttpBed.over(service)
  const [a, b, c] = [await bed.session('a'), await bed.session('b'), await bed.session('c')]
  const { body } = await bed.acquire(a, 't1')
  const hangUp = bed.sendAndHangUp('/v1/locks/k/acquire', b, { ticket: 't1', ...WAIT })
  await untilShown(bed, { queue: [{ node: 'b' }] })
  const next = bed.acquire(c, 't1', WAIT)
  await untilShown(bed, { queue: [{ node: 'b' }, { node: 'c' }] })
  expect(service.parking.size).toBe(2)
  hangUp()
  await vi.waitFor(() => expect(service.parking.size).toBe(1), UNTIL)
  await release(bed, a, body['fencingToken'])
  expect((await next).body).toMatchObject({ status: 'granted', attempt: 1 })
})

test('a parked renewal whose connection is killed ends the session after its disconnectGraceMs', async () => {
  await using bed = await HttpBed.start()
  const a = await bed.session('a', { ttlMs: 600_000, disconnectGraceMs: 50 })
  const b = await bed.session('b')
  await bed.acquire(a, 't1')
  const hangUp = bed.sendAndHangUp('/v1/sessions/renew', a, WAIT)
  const parked = bed.acquire(b, 't1', WAIT)
  await untilShown(bed, { state: 'queued' })
  hangUp()
  expect((await parked).body).toMatchObject({ status: 'granted', lastError: { message: 'the process has died' } })
})

test('a parked renewal that is answered, and a session without a grace, end nothing', async () => {
  await using service = await LockService.open({ store: new MemoryLockStore() })
  await using bed = await HttpBed.over(service)
  const disconnected = vi.spyOn(service.sessions, 'disconnected')
  const a = await bed.session('a', { disconnectGraceMs: 0 })
  const b = await bed.session('b')
  expect(await bed.call('POST', '/v1/sessions/renew', { session: a, body: { waitMs: 10 } })).toMatchObject({
    status: 200,
    body: { ttlMs: 15_000 },
  })
  const renewed = vi.spyOn(service.sessions, 'renew')
  const hangUp = bed.sendAndHangUp('/v1/sessions/renew', b, WAIT)
  await vi.waitFor(() => expect(renewed).toHaveBeenCalled(), UNTIL)
  hangUp()
  await vi.waitFor(() => expect(disconnected.mock.calls).toEqual([[b, 1]]), UNTIL)
  expect((await bed.call('GET', '/v1/nodes')).body).toMatchObject({ nodes: [{ node: 'a' }, { node: 'b' }] })
})

test('a parked renewal is answered before the session could expire', async () => {
  await using bed = await HttpBed.start()
  const a = await bed.session('a', { ttlMs: 1_000 })
  const renewed = await bed.call('POST', '/v1/sessions/renew', { session: a, body: WAIT })
  expect(renewed.status).toBe(200)
})

test('a parked renewal is answered session_expired as soon as its session is over', { timeout: 15_000 }, async () => {
  await using service = await LockService.open({ store: new MemoryLockStore() })
  await using bed = await HttpBed.over(service)
  const LONG = { ttlMs: 600_000 }
  const renewed = vi.spyOn(service.sessions, 'onEnd')
  const [closed, resumed] = [await bed.session('a', LONG), await bed.session('b', LONG)]
  const renew = (session: string) => bed.call('POST', '/v1/sessions/renew', { session, body: WAIT })
  const parked = [renew(closed), renew(resumed)]
  await vi.waitFor(() => expect(renewed).toHaveBeenCalledTimes(2), UNTIL)
  await bed.call('DELETE', '/v1/sessions', { session: closed })
  await bed.session('b', { resume: resumed })
  for (const answer of await Promise.all(parked)) {
    expect(answer).toMatchObject({ status: 410, body: { error: { code: 'session_expired' } } })
  }
})

test('a renewal is parked for a third of its session’s time at most', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  try {
    await using service = await LockService.open({ store: new MemoryLockStore() })
    await using bed = await HttpBed.over(service)
    const session = await bed.session('a', { ttlMs: 30_000 })
    const parked = vi.spyOn(service.sessions, 'onEnd')
    const renewed = bed.call('POST', '/v1/sessions/renew', { session, body: WAIT })
    await vi.waitUntil(() => parked.mock.calls.length === 1)
    await vi.advanceTimersByTimeAsync(10_000)
    expect(await renewed).toMatchObject({ status: 200, body: { ttlMs: 30_000 } })
  } finally {
    vi.useRealTimers()
  }
})

test('a server that stops ends no session by cutting its connections', async () => {
  const store = new MemoryLockStore()
  const bed = await HttpBed.start({ store })
  const a = await bed.session('a', { disconnectGraceMs: 0 })
  bed.sendAndHangUp('/v1/sessions/renew', a, WAIT)
  await bed.acquire(a, 't1')
  await bed[Symbol.asyncDispose]()
  expect(await store.sessions()).toHaveLength(1)
  await using next = await HttpBed.start({ store })
  expect((await next.acquire(a, 't1')).body).toMatchObject({ status: 'granted' })
})

test('a server that stops answers long polls with what there is', async () => {
  const bed = await HttpBed.start()
  const session = await bed.session('a')
  await bed.acquire(session, 't1')
  const parked = bed.acquire(session, 't2', WAIT)
  await untilShown(bed, { state: 'queued' })
  await bed[Symbol.asyncDispose]()
  expect((await parked).body).toMatchObject({ status: 'queued', position: 1 })
})
