import { connect, createServer, type Socket } from 'node:net'
import { LockClient } from '@layerlock/client'
import { LockServer, MemoryLockStore } from '@layerlock/server'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { failureOf } from '../failure-of.testbed.ts'
import { NO_PLACE } from '../upstream/request-gate.ts'
import { connectCoordinator, type TestCoordinatorOptions } from './lock-coordinator.testbed.ts'
import type { LockCoordinator } from './lock-coordinator.ts'

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

/** A way to a server on which, once it is frozen, nothing comes through any more. */
async function startFreezable(url: string) {
  const { hostname, port } = new URL(url)
  const sockets = new Set<Socket>()
  let isFrozen = false
  const relay = createServer((near) => {
    const far = connect(Number(port), hostname)
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from.on('error', () => undefined))
      from.on('data', (chunk: Buffer) => isFrozen || to.write(chunk))
      from.on('close', () => isFrozen || to.destroy())
    }
  })
  await new Promise<void>((resolve) => {
    relay.listen(0, '127.0.0.1', resolve)
  })
  const address = relay.address() as { readonly port: number }
  return {
    url: `http://127.0.0.1:${address.port}`,
    freeze: () => {
      isFrozen = true
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => relay.close(resolve))
    },
  }
}

describe('takePlace()', () => {
  test('gives out as many places as there are, to all nodes together', async () => {
    const [a, b] = [await startNode('a'), await startNode('b')]
    const first = await a.takePlace(key, 2, signal)
    await b.takePlace(key, 2, signal)
    let got = false
    const third = b.takePlace(key, 2, signal).then((taken) => {
      got = true
      return taken
    })
    await expect.poll(() => locks.poll(key), { interval: 10 }).toMatchObject({ holderCount: 2, queueLength: 1 })
    expect(got).toBe(false)
    expect(first.waited).toBe(false)
    await first.leave()
    expect((await third).waited).toBe(true)
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

  test('goes on without a place when the lock server freezes while it waits', { timeout: 10_000 }, async () => {
    const frozen = stack.use(await startFreezable(server.url))
    const b = stack.use(await connectCoordinator(frozen.url, 'b', { lockTimeoutMs: 200, sessionTtlMs: 60_000 }))
    await (await startNode('a')).takePlace('upstream/x/1', 1, signal)
    const waiting = b.takePlace('upstream/x/1', 1, signal)
    await expect.poll(async () => (await locks.poll('upstream/x/1')).queueLength, { interval: 10 }).toBe(1)
    frozen.freeze()
    expect(await waiting).toBe(NO_PLACE)
    expect(b.status().degraded).toBe(true)
  })

  test('ends with the reason of its signal, and leaves the queue', async () => {
    const [a, b] = [await startNode('a'), await startNode('b')]
    const held = await a.takePlace('upstream/x/1', 1, signal)
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

  test('leave what is there when that is better', async () => {
    const [a, b] = [await startNode('a'), await startNode('b')]
    await a.publish('pause/x', 9, 60_000)
    const isLarger = (than: number) => (known: { value: unknown }) => Number(known.value) > than
    await b.publish('pause/x', 5, 60_000, isLarger(5))
    expect(await b.lookUp('pause/x')).toMatchObject({ value: 9 })
    await b.publish('pause/x', 10, 60_000, isLarger(10))
    expect(await a.lookUp('pause/x')).toMatchObject({ value: 10 })
  })

  test('do nothing without the lock server', async () => {
    const a = await startNode('a', { lockTimeoutMs: 200 })
    await server[Symbol.asyncDispose]()
    await a.publish('tag-known/x', 'x', 60_000)
    expect(await a.lookUp('tag-known/x')).toBeUndefined()
    expect(a.status().degraded).toBe(true)
  })
})
