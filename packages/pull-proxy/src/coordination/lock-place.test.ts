import { LockClient } from '@layerlock/client'
import { LockServer, MemoryLockStore } from '@layerlock/server'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { failureOf } from '../failure-of.testbed.ts'
import type { Pause, Place } from '../upstream/request-gate.ts'
import { connectCoordinator, type TestCoordinatorOptions } from './lock-coordinator.testbed.ts'
import type { LockCoordinator } from './lock-coordinator.ts'
import { NO_PLACE } from './lock-place.ts'

const key = 'upstream/docker.io/2'
const { signal } = new AbortController()
let stack: AsyncDisposableStack
let server: LockServer
let locks: LockClient

beforeEach(async () => {
  stack = new AsyncDisposableStack()
  server = stack.use(await LockServer.start({ host: '127.0.0.1', port: 0, store: new MemoryLockStore() }))
  locks = stack.use(new LockClient({ url: server.url, node: 'test' }))
})

afterEach(async () => {
  await stack.disposeAsync()
})

async function startNode(node: string, options: TestCoordinatorOptions = {}): Promise<LockCoordinator> {
  return stack.use(await connectCoordinator(server.url, node, options))
}

const place = async (taken: Promise<Place | Pause>) => (await taken) as Place

describe('takePlace()', () => {
  test('gives out as many places as there are, to all nodes together', async () => {
    const [a, b] = [await startNode('a'), await startNode('b')]
    const first = await place(a.takePlace(key, 2, signal))
    await b.takePlace(key, 2, signal)
    let got = false
    const third = place(b.takePlace(key, 2, signal)).then((taken) => {
      got = true
      return taken
    })
    await expect.poll(() => locks.poll(key), { interval: 10 }).toMatchObject({ holderCount: 2, queueLength: 1 })
    expect(got).toBe(false)
    await first.leave()
    await third
  })

  test('tells all nodes of a long pause at once, those that wait and those that come, until it is over', async () => {
    const [a, b] = [await startNode('a'), await startNode('b')]
    const [first] = [await place(a.takePlace(key, 2, signal)), await a.takePlace(key, 2, signal)]
    const waiting = b.takePlace(key, 2, signal)
    await first.limited({ retryAfterMs: 60_000, message: 'slow down' })
    for (const told of [await waiting, await b.takePlace(key, 2, signal)] as Pause[]) {
      expect(told.message).toBe('slow down')
      expect(told.retryAfterMs).toBeGreaterThan(55_000)
      expect(told.retryAfterMs).toBeLessThanOrEqual(60_000)
    }
  })

  test('gives nobody a place during a short pause, however many were told of it, and then goes on', async () => {
    const nodes = await Promise.all(['a', 'b', 'c', 'd', 'e'].map((node) => startNode(node)))
    const places = await Promise.all(nodes.map((node) => place(node.takePlace('upstream/x/9', 9, signal))))
    const startMs = performance.now()
    await Promise.all(places.map((each) => each.limited({ retryAfterMs: 300, message: 'slow down' })))
    const next = await Promise.all(nodes.map((node) => node.takePlace('upstream/x/9', 9, signal)))
    expect(performance.now() - startMs).toBeGreaterThan(290)
    expect(next.filter((each) => !('leave' in each))).toEqual([])
  })

  test('goes on without a place when the lock server is away, and when places are counted otherwise', async () => {
    const a = await startNode('a', { lockTimeoutMs: 200 })
    await a.takePlace(key, 2, signal)
    expect(await a.takePlace(key, 3, signal)).toBe(NO_PLACE)
    expect(a.status().degraded).toBe(false)
    await server[Symbol.asyncDispose]()
    expect(await a.takePlace(key, 2, signal)).toBe(NO_PLACE)
    expect(a.status().degraded).toBe(true)
  })

  test('what is no pause is none', async () => {
    const [a, b] = [await startNode('a'), await startNode('b')]
    await b.publish(key, { retryAfterMs: 'long' }, 60_000)
    expect(await a.takePlace(key, 2, signal)).toBe(NO_PLACE)
  })

  test('ends with the reason of its signal, and leaves the queue', async () => {
    const [a, b] = [await startNode('a'), await startNode('b')]
    const held = await place(a.takePlace('upstream/x/1', 1, signal))
    const stop = new AbortController()
    const reason = new Error('gone')
    const waiting = failureOf(b.takePlace('upstream/x/1', 1, stop.signal))
    await expect.poll(async () => (await locks.poll('upstream/x/1')).queueLength, { interval: 10 }).toBe(1)
    stop.abort(reason)
    expect(await waiting).toBe(reason)
    await held.leave()
    await a.takePlace('upstream/x/1', 1, signal)
  })
})

describe('publish() and lookUp()', () => {
  test('leave a value for the others, the last one', async () => {
    const [a, b] = [await startNode('a'), await startNode('b')]
    expect(await b.lookUp('tag-known/x')).toBeUndefined()
    await a.publish('tag-known/x', { digest: 1 }, 60_000)
    await a.publish('tag-known/x', { digest: 2 }, 60_000)
    expect(await b.lookUp('tag-known/x')).toMatchObject({ value: { digest: 2 } })
    await a.publish('tag-known/y', 'x', 0)
    expect(await b.lookUp('tag-known/y')).toBeUndefined()
  })

  test('do nothing without the lock server', async () => {
    const a = await startNode('a', { lockTimeoutMs: 200 })
    await server[Symbol.asyncDispose]()
    await a.publish('tag-known/x', 'x', 60_000)
    expect(await a.lookUp('tag-known/x')).toBeUndefined()
  })
})
