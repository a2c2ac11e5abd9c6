import { setTimeout as sleep } from 'node:timers/promises'
import { LockServer, MemoryLockStore } from '@layerlock/server'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { failureOf } from '../failure-of.testbed.ts'
import { OciError } from '../oci/oci-error.ts'
import { connectCoordinator, type TestCoordinatorOptions } from './lock-coordinator.testbed.ts'
import type { LockCoordinator } from './lock-coordinator.ts'

const group = 'docker.io/library/app'
const { signal } = new AbortController()
let stack: AsyncDisposableStack
let server: LockServer

beforeEach(async () => {
  stack = new AsyncDisposableStack()
  server = await LockServer.start({ host: '127.0.0.1', port: 0, store: new MemoryLockStore() })
  stack.use(server)
})

afterEach(async () => {
  await stack.disposeAsync()
})

async function startNode(node: string, options: TestCoordinatorOptions = {}): Promise<LockCoordinator> {
  return stack.use(await connectCoordinator(server.url, node, options))
}

describe('share()', () => {
  const options = { retainMs: 60_000, group, signal }

  test('does the work once for all nodes, also for those that come later', async () => {
    const nodes = [await startNode('a'), await startNode('b'), await startNode('c')]
    let runs = 0
    const work = async () => {
      await sleep(50)
      return { run: ++runs }
    }
    const results = await Promise.all(nodes.map((node) => node.share('tag/x', work, options)))
    const later = await nodes[0]!.share('tag/x', work, options)
    expect([...results, later].map(({ value }) => value)).toEqual(Array.from({ length: 4 }, () => ({ run: 1 })))
    expect(later.ageMs).toBeGreaterThanOrEqual(0)
  })

  test('does the work again when its result is too old', async () => {
    const a = await startNode('a')
    let runs = 0
    const work = () => Promise.resolve(++runs)
    expect(await a.share('tag/x', work, { ...options, retainMs: 0 })).toMatchObject({ value: 1 })
    expect(await a.share('tag/x', work, { ...options, retainMs: 0 })).toMatchObject({ value: 2 })
  })

  test('tells a permanent failure to the others in the group, and to nobody else', async () => {
    const [a, b] = [await startNode('a'), await startNode('b')]
    const fail = () => Promise.reject(new OciError('MANIFEST_UNKNOWN', 'no such tag'))
    const succeed = () => Promise.resolve('found')
    await expect(a.share('tag/x', fail, options)).rejects.toMatchObject({ code: 'MANIFEST_UNKNOWN' })
    await expect(b.share('tag/x', succeed, options)).rejects.toMatchObject({
      code: 'MANIFEST_UNKNOWN',
      message: 'no such tag',
    })
    expect(await b.share('tag/x', succeed, { ...options, group: 'other' })).toMatchObject({ value: 'found' })
  })

  test('tells the others at once when upstream wants to be left alone for long', async () => {
    const [a, b] = [await startNode('a'), await startNode('b')]
    const retryAfterMs = 3_600_000
    const fail = () => Promise.reject(new OciError('TOOMANYREQUESTS', 'slow down', { retryAfterMs }))
    await expect(a.share('tag/x', fail, options)).rejects.toMatchObject({ code: 'TOOMANYREQUESTS' })
    const told = (await failureOf(b.share('tag/x', () => Promise.resolve('found'), options))) as OciError
    expect(told).toMatchObject({ code: 'TOOMANYREQUESTS', message: 'slow down' })
    expect(told.retryAfterMs).toBeGreaterThan(retryAfterMs - 60_000)
    expect(b.status().degradedPulls).toBe(0)
  })

  test('lets the next one try after a passing failure', async () => {
    const [a, b] = [await startNode('a'), await startNode('b')]
    const fail = () => Promise.reject(new OciError('UNKNOWN', 'upstream failed'))
    await expect(a.share('tag/x', fail, options)).rejects.toThrow('upstream failed')
    expect(await b.share('tag/x', () => Promise.resolve('found'), options)).toMatchObject({ value: 'found' })
  })

  test('gives up work that another node takes too long for, and does not do it too', async () => {
    const [a, b] = [await startNode('a'), await startNode('b', { maxShareWaitMs: 100 })]
    const gate = Promise.withResolvers<string>()
    const working = Promise.withResolvers<void>()
    const slow = () => {
      working.resolve()
      return gate.promise
    }
    const first = a.share('tag/x', slow, options)
    await working.promise
    let runs = 0
    const failure = await failureOf(b.share('tag/x', () => Promise.resolve(++runs), options))
    expect(failure).toMatchObject({ code: 'UNKNOWN', message: 'another node is still asking upstream' })
    expect(runs).toBe(0)
    expect(b.status()).toEqual({ degradedPulls: 0, degraded: false })
    gate.resolve('found')
    await first
  })

  test('tells all who wait at once of a failure that names a time to come back', async () => {
    const nodes = await Promise.all(['a', 'b', 'c', 'd'].map((node) => startNode(node)))
    let runs = 0
    const fail = async () => {
      runs++
      await sleep(50)
      throw new OciError('UNKNOWN', 'upstream is away', { retryAfterMs: 1_000 })
    }
    const failures = await Promise.all(nodes.map((node) => failureOf(node.share('tag/x', fail, options))))
    expect(failures.map((failure) => (failure as Error).message)).toEqual(nodes.map(() => 'upstream is away'))
    expect(runs).toBe(1)
  })

  test('forgets a result that is no good, once for all who find that', async () => {
    const nodes = [await startNode('a'), await startNode('b'), await startNode('c')]
    let runs = 0
    const work = () => Promise.resolve(++runs)
    const isGood = (value: unknown) => value !== 1
    await nodes[0]!.share('tag/x', work, options)
    const results = await Promise.all(nodes.map((node) => node.share('tag/x', work, { ...options, isGood })))
    expect(results.map(({ value }) => value)).toEqual([2, 2, 2])
  })

  test('tells the work whether it is done for the cluster', async () => {
    const a = await startNode('a', { lockTimeoutMs: 200 })
    const work = (isShared: boolean) => Promise.resolve(isShared)
    expect((await a.share('tag/x', work, options)).value).toBe(true)
    await server[Symbol.asyncDispose]()
    expect((await a.share('tag/y', work, options)).value).toBe(false)
  })

  test('does the work without the lock server, and counts that', async () => {
    const a = await startNode('a', { lockTimeoutMs: 200 })
    await server[Symbol.asyncDispose]()
    expect(await a.share('tag/x', () => Promise.resolve('found'), options)).toMatchObject({ value: 'found' })
    expect(a.status()).toEqual({ degradedPulls: 1, degraded: true })
  })

  test('passes on the failure of work that was done without the lock server', async () => {
    const a = await startNode('a', { lockTimeoutMs: 200 })
    await server[Symbol.asyncDispose]()
    const fail = () => Promise.reject(new OciError('MANIFEST_UNKNOWN', 'no such tag'))
    await expect(a.share('tag/x', fail, options)).rejects.toMatchObject({ code: 'MANIFEST_UNKNOWN' })
  })

  test('gives the result though it could not be shared', async () => {
    const a = await startNode('a', { lockTimeoutMs: 200 })
    let runs = 0
    const work = async () => {
      await server[Symbol.asyncDispose]()
      return ++runs
    }
    expect(await a.share('tag/x', work, options)).toMatchObject({ value: 1 })
    expect(runs).toBe(1)
  })

  test('ends with the reason of its signal while another node works', async () => {
    const [a, b] = [await startNode('a'), await startNode('b')]
    const gate = Promise.withResolvers<string>()
    const working = Promise.withResolvers<void>()
    const first = a.share(
      'tag/x',
      () => {
        working.resolve()
        return gate.promise
      },
      options,
    )
    await working.promise
    const stop = new AbortController()
    const reason = new Error('the client has gone')
    const other = () => Promise.resolve('other')
    const second = failureOf(b.share('tag/x', other, { ...options, signal: stop.signal }))
    stop.abort(reason)
    expect(await second).toBe(reason)
    gate.resolve('found')
    expect(await first).toMatchObject({ value: 'found' })
  })
})
