import { LockServer, MemoryLockStore } from '@layerlock/server'
import {
  createImage,
  createLayer,
  type Image,
  type RegistryServer,
  startRegistryServer,
  temporaryFolder,
  type TemporaryFolder,
} from '@layerlock/test-support'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Coordinator } from '../coordination/coordinator.ts'
import { connectCoordinator } from '../coordination/lock-coordinator.testbed.ts'
import { SoloCoordinator } from '../coordination/solo-coordinator.ts'
import type { Digest } from '../oci/digest.ts'
import { OciError, type OciErrorCode } from '../oci/oci-error.ts'
import { parseRepository } from '../oci/repository.ts'
import { failureOf } from '../failure-of.testbed.ts'
import { createTestLogger } from '../test-logger.testbed.ts'
import { createRegistryClient } from '../upstream/registry-client.testbed.ts'
import type { TagPolicy } from '../upstream/upstream-options.ts'
import type { ResolvedTag } from './last-known-tags.ts'
import { TagLedger } from './tag-ledger.ts'
import { TagResolver } from './tag-resolver.ts'

const { signal } = new AbortController()
const outage = new OciError('UNKNOWN', 'upstream is away')
let stack: AsyncDisposableStack
let folder: TemporaryFolder
let registry: RegistryServer
let image: Image
let nodes = 0

beforeEach(async () => {
  stack = new AsyncDisposableStack()
  folder = stack.use(await temporaryFolder('tags'))
  const layer = await createLayer({ folder: folder.path, sizeBytes: 4_096, seed: 'tags' })
  image = await createImage({ folder: folder.path, layers: [layer], multiPlatform: true })
  registry = stack.use(await startRegistryServer({ latencyMs: 20 }))
  registry.contents.addImage(image, { repository: 'library/app', tag: 'latest' })
})

afterEach(async () => {
  await stack.disposeAsync()
})

const openLedger = (name: string) => TagLedger.open(`${folder.path}/ledger-${name}`, 60_000)

/** The resolver of a node with an upstream of this policy. */
async function startResolver(
  coordinator: Coordinator,
  tags: Partial<TagPolicy> = {},
  ledger = `${nodes++}`,
  times: { maxAskingMs?: number; maxAskingIfKnownMs?: number } = {},
) {
  const policy = { policy: 'ttl', ttlMs: 60_000, maxStaleMs: 60_000, ...tags } as const
  const upstream = stack.use(createRegistryClient(registry.url, { tags: policy }))
  const target = { upstream, repository: parseRepository('library/app') }
  const logger = createTestLogger()
  const resolver = new TagResolver({ coordinator, ledger: await openLedger(ledger), logger, signal, ...times })
  return {
    resolve: (tag = 'latest', proof?: Parameters<TagResolver['resolve']>[2]) =>
      resolver.resolve(target, tag, proof, signal),
    served: async () => {
      await resolver.served(target, 'latest', await resolver.resolve(target, 'latest', undefined, signal))
    },
    keep: (resolved: ResolvedTag) => resolver.served(target, 'latest', resolved),
    resolveAnew: (gone: Digest, code: OciErrorCode = 'MANIFEST_UNKNOWN') =>
      resolver.resolveAnew(target, 'latest', { gone, failure: new OciError(code, 'no'), signal }),
    lastKnown: (failure: unknown = outage) => resolver.lastKnown(target, 'latest', failure),
  }
}

async function startCluster() {
  const server = stack.use(await LockServer.start({ host: '127.0.0.1', port: 0, store: new MemoryLockStore() }))
  return async (node: string) => stack.use(await connectCoordinator(server.url, node))
}

describe('resolve()', () => {
  test('asks by one HEAD for all nodes, and for a tag that is not there by one too', async () => {
    const join = await startCluster()
    const resolvers = [await startResolver(await join('a')), await startResolver(await join('b'))]
    const { top } = image
    const found = { digest: top.digest, size: top.size, mediaType: top.mediaType }
    expect(await Promise.all(resolvers.map(({ resolve }) => resolve()))).toMatchObject([found, found])
    expect(await resolvers[0]!.resolve()).toMatchObject(found)
    expect(registry.requests.all).toMatchObject([{ method: 'HEAD', reference: 'latest' }])

    const failed = await Promise.allSettled(resolvers.map(({ resolve }) => resolve('none')))
    const unknown = { status: 'rejected', reason: { code: 'MANIFEST_UNKNOWN' } }
    expect(failed).toMatchObject([unknown, unknown])
    expect(registry.requests.countOf({ reference: 'none' })).toBe(1)
  })

  test.each([
    ['always', 2],
    ['ttl', 1],
    ['pin', 1],
  ] as const)('with the policy %s asks %i times for two pulls, on two nodes', async (policy, heads) => {
    const join = await startCluster()
    for (const node of ['a', 'b']) {
      const { resolve } = await startResolver(await join(node), { policy })
      expect(await resolve()).toMatchObject({ digest: image.top.digest })
    }
    expect(registry.requests.countOf({ method: 'HEAD' })).toBe(heads)
  })

  test('keeps a pinned tag when it has moved, and follows one that is asked always', async () => {
    const pinned = await startResolver(new SoloCoordinator(), { policy: 'pin', ttlMs: 0 })
    const followed = await startResolver(new SoloCoordinator(), { policy: 'always' })
    for (const { resolve } of [pinned, followed]) await resolve()
    registry.contents.setTag('library/app', 'latest', image.manifest.digest)
    expect(await pinned.resolve()).toMatchObject({ digest: image.top.digest })
    expect(await followed.resolve()).toMatchObject({ digest: image.manifest.digest })
  })

  test('does not go on with an answer for longer than the cluster does', async () => {
    const join = await startCluster()
    const a = await startResolver(await join('a'), { ttlMs: 300 })
    const b = await startResolver(await join('b'), { ttlMs: 300 })
    await a.resolve()
    const resolvedAtMs = performance.now()
    await new Promise((resolve) => setTimeout(resolve, 200))
    await b.resolve()
    registry.contents.setTag('library/app', 'latest', image.manifest.digest)
    await expect.poll(async () => (await b.resolve()).digest, { interval: 10 }).toBe(image.manifest.digest)
    // What b was told when it was 200 ms old was good for 100 ms more, not for 300.
    expect(performance.now() - resolvedAtMs).toBeGreaterThan(290)
    expect(registry.requests.countOf({ method: 'HEAD' })).toBe(2)
  })

  test('takes what upstream has said already for an answer', async () => {
    const { resolve } = await startResolver(new SoloCoordinator())
    const { digest, size, mediaType } = image.manifest
    const proof = { digest, size, mediaType } as Parameters<TagResolver['resolve']>[2]
    expect(await resolve('latest', proof)).toMatchObject({ digest, size, mediaType })
    expect(registry.requests.all).toEqual([])
  })

  test('asks again when upstream fails, a few times', async () => {
    registry.fault = ({ nth }) => (nth <= 2 ? { kind: 'status', status: 503 } : undefined)
    const { resolve } = await startResolver(new SoloCoordinator())
    expect(await resolve()).toMatchObject({ digest: image.top.digest })
    expect(registry.requests.countOf({ method: 'HEAD' })).toBe(3)
    registry.fault = () => ({ kind: 'status', status: 503 })
    await expect(resolve('other')).rejects.toMatchObject({ code: 'UNKNOWN' })
    expect(registry.requests.countOf({ method: 'HEAD', reference: 'other' })).toBe(3)
  })

  test('gives up an upstream that hangs, so that there is time for what is known', async () => {
    registry.fault = () => ({ kind: 'hang' })
    const { resolve } = await startResolver(new SoloCoordinator(), {}, undefined, { maxAskingMs: 100 })
    await expect(resolve()).rejects.toMatchObject({
      code: 'UNKNOWN',
      message: 'docker.io did not say within 100 ms what latest names',
    })
  })

  test('gives up an upstream that hangs sooner where an answer is known, on one node for all, and asks no more for a while', async () => {
    const join = await startCluster()
    const times = { maxAskingMs: 60_000, maxAskingIfKnownMs: 200 }
    const tags = { policy: 'always' } as const
    const a = await startResolver(await join('a'), tags, 'a', times)
    const b = await startResolver(await join('b'), tags, 'b', times)
    await a.served()
    registry.requests.clear()
    registry.fault = () => ({ kind: 'hang' })
    const failures = await Promise.all([failureOf(a.resolve()), failureOf(b.resolve())])
    failures.push(await failureOf(a.resolve()), await failureOf(b.resolve()))
    for (const failure of failures) {
      expect(failure).toMatchObject({
        code: 'UNKNOWN',
        message: 'docker.io did not say within 200 ms what latest names',
      })
      expect(await b.lastKnown(failure)).toMatchObject({ target: { digest: image.top.digest } })
    }
    expect(registry.requests.countOf()).toBe(1)
  })

  test('asks an upstream that has failed all the same where nothing is known', async () => {
    const times = { maxAskingMs: 2_000, maxAskingIfKnownMs: 200 }
    const { served, resolve } = await startResolver(new SoloCoordinator(), { ttlMs: 0 }, 'known', times)
    await served()
    registry.fault = () => ({ kind: 'hang' })
    await failureOf(resolve())
    registry.fault = undefined
    registry.contents.setTag('library/app', 'other', image.manifest.digest)
    expect(await resolve('other')).toMatchObject({ digest: image.manifest.digest })
    await expect(resolve()).rejects.toThrow('docker.io did not say within 200 ms')
  })

  test('goes on asking about one tag when another one fails', async () => {
    const { served, resolve } = await startResolver(new SoloCoordinator(), { ttlMs: 0 })
    await served()
    registry.fault = ({ reference }) => (reference === 'broken' ? { kind: 'status', status: 500 } : undefined)
    registry.contents.setTag('library/app', 'latest', image.manifest.digest)
    await failureOf(resolve('broken'))
    expect(await resolve()).toMatchObject({ digest: image.manifest.digest })
  })

  test('keeps a pinned tag while the lock server is away, after a restart too', async () => {
    const pin = { policy: 'pin', ttlMs: 0, maxStaleMs: 0 } as const
    const join = await startCluster()
    await (await startResolver(await join('a'), pin, 'a')).served()
    registry.contents.setTag('library/app', 'latest', image.manifest.digest)
    const degraded = await connectCoordinator('http://127.0.0.1:1', 'a', { lockTimeoutMs: 50 })
    stack.use(degraded)
    for (const coordinator of [degraded, new SoloCoordinator()]) {
      expect(await (await startResolver(coordinator, pin, 'a')).resolve()).toMatchObject({ digest: image.top.digest })
    }
    // A node that has never served it has nobody to ask but upstream.
    const { resolve } = await startResolver(new SoloCoordinator(), pin, 'other')
    expect(await resolve()).toMatchObject({ digest: image.manifest.digest })
  })

  test('uses a tag whose name would be too long for a key', async () => {
    const join = await startCluster()
    const upstream = stack.use(createRegistryClient(registry.url, { name: `${'u'.repeat(200)}.example` }))
    const repository = parseRepository(`${'r'.repeat(120)}/${'s'.repeat(120)}`)
    const tag = 't'.repeat(128)
    registry.contents.addImage(image, { repository, tag })
    const logger = createTestLogger()
    const resolver = new TagResolver({
      coordinator: await join('a'),
      ledger: await openLedger('long'),
      logger,
      signal,
    })
    expect(await resolver.resolve({ upstream, repository }, tag, undefined, signal)).toMatchObject({
      digest: image.top.digest,
    })
  })
})

describe('resolveAnew()', () => {
  test('asks upstream once for all nodes that find a manifest gone', async () => {
    const join = await startCluster()
    const resolvers = [await startResolver(await join('a')), await startResolver(await join('b'))]
    const [gone] = await Promise.all(resolvers.map(async ({ resolve }) => (await resolve()).digest))
    registry.contents.setTag('library/app', 'latest', image.manifest.digest)
    const found = { digest: image.manifest.digest }
    expect(await Promise.all(resolvers.map(({ resolveAnew }) => resolveAnew(gone!)))).toMatchObject([found, found])
    expect(await Promise.all(resolvers.map(({ resolve }) => resolve()))).toMatchObject([found, found])
    expect(registry.requests.countOf({ method: 'HEAD' })).toBe(2)
  })

  test('is of no use when upstream stays with it, the tag is pinned, or something else failed', async () => {
    const { resolve, resolveAnew } = await startResolver(new SoloCoordinator())
    const { digest } = await resolve()
    expect(await resolveAnew(digest)).toBeUndefined()
    registry.contents.setTag('library/app', 'latest', image.manifest.digest)
    expect(await resolveAnew(digest, 'UNKNOWN')).toBeUndefined()
    const pinned = await startResolver(new SoloCoordinator(), { policy: 'pin' })
    expect(await pinned.resolveAnew(digest)).toBeUndefined()
  })
})

describe('lastKnown()', () => {
  test('is the newest, when a tag has moved and come back', async () => {
    const join = await startCluster()
    const always = { policy: 'always' } as const
    const [a, b] = [await startResolver(await join('a'), always), await startResolver(await join('b'), always)]
    await a.served()
    registry.contents.setTag('library/app', 'latest', image.manifest.digest)
    await b.served()
    expect(await a.lastKnown()).toMatchObject({ target: { digest: image.manifest.digest } })
    registry.contents.setTag('library/app', 'latest', image.top.digest)
    await a.served()
    for (const { lastKnown } of [a, b]) {
      expect(await lastKnown()).toMatchObject({ target: { digest: image.top.digest } })
    }
  })

  test('is as old as upstream’s word is, however often it was served since', async () => {
    const { resolve, keep, served, lastKnown } = await startResolver(new SoloCoordinator())
    const resolved = await resolve()
    await new Promise((wake) => setTimeout(wake, 50))
    await keep(resolved)
    await served()
    expect((await lastKnown())?.ageMs).toBeGreaterThanOrEqual(50)
  })

  test('is what was served last, on this node and on others, after a restart too', async () => {
    const join = await startCluster()
    const a = await startResolver(await join('a'), {}, 'a')
    await a.served()
    const last = { target: { digest: image.top.digest } }
    const b = await startResolver(await join('b'))
    expect(await Promise.all([a.lastKnown(), b.lastKnown()])).toMatchObject([last, last])
    expect(await (await startResolver(new SoloCoordinator(), {}, 'a')).lastKnown()).toMatchObject(last)
    expect(await (await startResolver(new SoloCoordinator(), {}, 'other')).lastKnown()).toBeUndefined()
  })

  test.each([
    ['an outage', outage, true],
    ['a limit', new OciError('TOOMANYREQUESTS', 'slow down'), true],
    ['a refusal', new OciError('DENIED', 'no'), false],
    ['a tag that is gone', new OciError('MANIFEST_UNKNOWN', 'no'), false],
    ['something unexpected', new TypeError('no'), false],
  ])('after %s is told: %s, %s', async (_name, failure, told) => {
    const a = await startResolver(new SoloCoordinator())
    await a.served()
    expect((await a.lastKnown(failure)) !== undefined).toBe(told)
  })

  test('is nothing when it is too old, or the policy wants none', async () => {
    const a = await startResolver(new SoloCoordinator(), { maxStaleMs: 1 })
    await a.served()
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(await a.lastKnown()).toBeUndefined()
    const b = await startResolver(new SoloCoordinator(), { maxStaleMs: 0 })
    await b.served()
    expect(await b.lastKnown()).toBeUndefined()
  })
})
