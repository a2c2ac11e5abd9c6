import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { type KeyRecord } from '../core/record.ts'
import { MemoryLockStore } from '../store/memory-lock-store.ts'
import type { Key } from '@layerlock/protocol'
import { expect, test, vi } from 'vitest'
import { Drain } from './drain.ts'
import { HttpBed } from './http.testbed.ts'

const WAIT = { waitMs: 20_000 }
const UNTIL = { timeout: 15_000, interval: 10 }

/** A store whose writes wait until they are let go. */
class SlowLockStore extends MemoryLockStore {
  #gate = Promise.resolve()
  waiting = 0

  hold(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#gate = promise
    return resolve
  }

  override async swap(key: Key, expectedVersion: number, record: KeyRecord | undefined): Promise<boolean> {
    this.waiting++
    await this.#gate
    return super.swap(key, expectedVersion, record)
  }
}

/** A connection on which a request has begun, so that the server does not take it for idle. */
async function beginRequest(bed: HttpBed, path: string): Promise<Socket> {
  const { hostname, port } = new URL(bed.url)
  const socket = connect(Number(port), hostname).setEncoding('utf8')
  await once(socket, 'connect')
  socket.write(`GET ${path} HTTP/1.1\r\n`)
  return socket
}

async function endRequest(socket: Socket): Promise<string> {
  socket.write('Host: x\r\n\r\n')
  let text = ''
  for await (const chunk of socket) text += chunk as string
  return text
}

async function untilShown(bed: HttpBed, shown: object): Promise<void> {
  await vi.waitFor(async () => expect((await bed.call('GET', '/v1/locks/k')).body).toMatchObject(shown), UNTIL)
}

test('Drain tells each listener once, and those that come late at once', () => {
  const drain = new Drain()
  const [told, left, late] = [vi.fn<() => void>(), vi.fn<() => void>(), vi.fn<() => void>()]
  drain.onBegin(told)
  drain.onBegin(left)[Symbol.dispose]()
  expect([drain.hasBegun, told.mock.calls.length]).toEqual([false, 0])
  drain.begin()
  drain.onBegin(late)
  expect([told, left, late].map(({ mock }) => mock.calls.length)).toEqual([1, 0, 1])
  expect(drain.hasBegun).toBe(true)
})

test('a server that stops answers all calls that are held back with what there is', async () => {
  const bed = await HttpBed.start()
  const session = await bed.session('a')
  await bed.acquire(session, 't1')
  const parked = bed.acquire(session, 't2', WAIT)
  const watching = bed.call('GET', '/v1/locks/k?waitMs=20000')
  const renewing = bed.call('POST', '/v1/sessions/renew', { session, body: WAIT })
  await untilShown(bed, { state: 'queued' })
  await bed[Symbol.asyncDispose]()
  expect(await parked).toMatchObject({ status: 200, body: { status: 'queued', position: 1 } })
  expect(await watching).toMatchObject({ status: 200, body: { state: 'queued' } })
  expect(await renewing).toMatchObject({ status: 200, body: { ttlMs: 15_000 } })
})

test('a server that stops ends its streams of events', async () => {
  const bed = await HttpBed.start()
  const stream = await fetch(`${bed.url}/v1/events`)
  const text = stream.text()
  await bed[Symbol.asyncDispose]()
  expect(await text).toMatch(/^: hello\nid: \w+-0\n\n$/)
})

test('a server that stops lets running calls finish, says that it drains, and takes no connection any more', async () => {
  const store = new SlowLockStore()
  const bed = await HttpBed.start({ store })
  const session = await bed.session('a')
  const probe = await beginRequest(bed, '/readyz')
  const live = await beginRequest(bed, '/healthz')
  const letGo = store.hold()
  const running = bed.acquire(session, 't1')
  await vi.waitFor(() => expect(store.waiting).toBe(1), UNTIL)
  const stopped = bed[Symbol.asyncDispose]()
  const answer = await endRequest(probe)
  expect(answer).toMatch(/^HTTP\/1\.1 503 .*"status":"draining"/s)
  expect(answer).toMatch(/^connection: close\r$/im)
  expect(await endRequest(live)).toMatch(/^HTTP\/1\.1 200 .*"status":"ok"/s)
  await expect(fetch(`${bed.url}/readyz`)).rejects.toThrow('fetch failed')
  letGo()
  expect(await running).toMatchObject({ status: 200, body: { status: 'granted' } })
  await stopped
})

test('a call that comes while a server stops is not held back', async () => {
  const store = new SlowLockStore()
  const bed = await HttpBed.start({ store })
  const session = await bed.session('a')
  await bed.acquire(session, 't1')
  const late = await beginRequest(bed, '/v1/locks/k?waitMs=20000')
  const letGo = store.hold()
  const running = bed.acquire(session, 't2')
  await vi.waitFor(() => expect(store.waiting).toBe(2), UNTIL)
  const stopped = bed[Symbol.asyncDispose]()
  expect(await endRequest(late)).toMatch(/^HTTP\/1\.1 200 .*"state":"held"/s)
  letGo()
  await running
  await stopped
})

test('a server that stops waits for running calls no longer than drainMs', async () => {
  const store = new SlowLockStore()
  const bed = await HttpBed.start({ store, drainMs: 50 })
  const session = await bed.session('a')
  const letGo = store.hold()
  const running = bed.acquire(session, 't1').then(String, (error: unknown) => error)
  await vi.waitFor(() => expect(store.waiting).toBe(1), UNTIL)
  await bed[Symbol.asyncDispose]()
  expect(await running).toBeInstanceOf(TypeError)
  letGo()
})

test('a server that stops ends no session, however its calls end', async () => {
  const store = new MemoryLockStore()
  const bed = await HttpBed.start({ store, drainMs: 50 })
  const session = await bed.session('a', { disconnectGraceMs: 0 })
  const renewing = bed.call('POST', '/v1/sessions/renew', { session, body: WAIT })
  await bed.acquire(session, 't1')
  await bed[Symbol.asyncDispose]()
  expect((await renewing).status).toBe(200)
  expect(await store.sessions()).toHaveLength(1)
})
