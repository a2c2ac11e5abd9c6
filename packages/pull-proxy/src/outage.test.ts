import { LockServer, MemoryLockStore } from '@layerlock/server'
import {
  createImage,
  createLayer,
  type Fault,
  type Image,
  type RegistryServer,
  startRegistryServer,
  temporaryFolder,
  type TemporaryFolder,
} from '@layerlock/test-support'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { ProxyOptions } from './proxy-options.ts'
import { startTestProxy, type TestProxy } from './proxy.testbed.ts'
import { rawRequest } from './raw-request.testbed.ts'

let stack: AsyncDisposableStack
let folder: TemporaryFolder
let registry: RegistryServer
let server: LockServer
let images: Image[]

beforeEach(async () => {
  stack = new AsyncDisposableStack()
  folder = stack.use(await temporaryFolder('outage'))
  images = await Promise.all(
    ['one', 'two'].map(async (seed) => {
      const layer = await createLayer({ folder: folder.path, sizeBytes: 4_096, seed })
      return createImage({ folder: folder.path, layers: [layer] })
    }),
  )
  registry = stack.use(await startRegistryServer())
  registry.contents.addImage(images[1]!, { repository: 'library/app', tag: 'latest' })
  registry.contents.addImage(images[0]!, { repository: 'library/app', tag: 'latest' })
  server = stack.use(await LockServer.start({ host: '127.0.0.1', port: 0, store: new MemoryLockStore() }))
})

afterEach(async () => {
  await stack.disposeAsync()
})

async function startProxy(node: string, options: Partial<ProxyOptions> = {}): Promise<TestProxy> {
  const lockServer = { url: server.url }
  return stack.use(
    await startTestProxy(
      { folder: folder.path, upstream: registry.url, node },
      { lockServer, tagTtlMs: 0, ...options },
    ),
  )
}

const ask = (proxy: TestProxy, path: string, method = 'GET') =>
  rawRequest(`${proxy.url}/v2/library/app/${path}`, { method })
const limited = (seconds: number): Fault => ({
  kind: 'status',
  status: 429,
  headers: { 'Retry-After': String(seconds) },
})

describe('a tag', () => {
  test.each([
    ['fails', { kind: 'status', status: 503 }],
    ['is away', { kind: 'cut' }],
    ['limits requests', limited(60)],
  ] as const)(
    'is answered with what it named last when upstream %s, on every node, with a warning',
    async (_what, fault) => {
      const [a, b] = [await startProxy('a'), await startProxy('b')]
      const { digest } = images[0]!.top
      const fresh = await ask(a, 'manifests/latest')
      expect(fresh.headers).toMatchObject({ 'docker-content-digest': digest })
      expect(fresh.headers['warning']).toBeUndefined()
      registry.fault = () => fault
      for (const [proxy, method] of [
        [a, 'HEAD'],
        [a, 'GET'],
        [b, 'HEAD'],
        [b, 'GET'],
      ] as const) {
        const stale = await ask(proxy, 'manifests/latest', method)
        expect(stale).toMatchObject({ status: 200, headers: { 'docker-content-digest': digest } })
        expect(stale.headers['warning']).toMatch(
          /^299 - "docker\.io did not say what latest names: this was \d+ s ago"$/,
        )
      }
      const { body } = await rawRequest(`${a.adminUrl}/metrics`)
      expect(String(body)).toMatch(/layerlock_proxy_stale_tags_total\{upstream="docker.io"\} [12]/)
    },
  )

  test('is answered with what it named last when upstream hangs, soon, and then at once', async () => {
    const nodes = [await startProxy('a'), await startProxy('b'), await startProxy('c')]
    await ask(nodes[0]!, 'manifests/latest')
    registry.requests.clear()
    registry.fault = () => ({ kind: 'hang' })
    const stale = { status: 200, headers: { 'docker-content-digest': images[0]!.top.digest } }
    expect(await Promise.all(nodes.map((node) => ask(node, 'manifests/latest')))).toMatchObject([stale, stale, stale])
    expect(registry.requests.countOf()).toBe(1)
    for (const node of nodes) expect(await ask(node, 'manifests/latest')).toMatchObject(stale)
    expect(registry.requests.countOf()).toBe(1)
    const { body } = await rawRequest(`${nodes[1]!.adminUrl}/metrics`)
    expect(String(body)).toContain('layerlock_proxy_degraded 0')
  })

  test('is asked once more when the manifest that it was said to name is gone', async () => {
    const [a, b] = [await startProxy('a', { tagTtlMs: 60_000 }), await startProxy('b', { tagTtlMs: 60_000 })]
    expect((await ask(a, 'manifests/latest', 'HEAD')).status).toBe(200)
    registry.contents.setTag('library/app', 'latest', images[1]!.top.digest)
    registry.fault = ({ reference }) =>
      reference === images[0]!.top.digest ? { kind: 'status', status: 404 } : undefined
    await a[Symbol.asyncDispose]()
    expect(await ask(b, 'manifests/latest')).toMatchObject({
      status: 200,
      headers: { 'docker-content-digest': images[1]!.top.digest },
    })
    expect(registry.requests.countOf({ method: 'HEAD', reference: 'latest' })).toBe(2)
  })

  test('is answered with what it named last when the manifest that it names now cannot be had', async () => {
    const proxy = await startProxy('a')
    await ask(proxy, 'manifests/latest')
    registry.contents.setTag('library/app', 'latest', images[1]!.top.digest)
    registry.fault = ({ method }) => (method === 'GET' ? limited(60) : undefined)
    const stale = await ask(proxy, 'manifests/latest')
    expect(stale).toMatchObject({ status: 200, headers: { 'docker-content-digest': images[0]!.top.digest } })
    expect(stale.headers['warning']).toBeDefined()
  })

  test('is answered after a restart of the node and of the lock server, without upstream', async () => {
    const before = await startProxy('a')
    await ask(before, 'manifests/latest')
    await before[Symbol.asyncDispose]()
    registry.fault = () => ({ kind: 'cut' })
    const after = await startProxy('a', { lockServer: undefined })
    expect(await ask(after, 'manifests/latest')).toMatchObject({
      status: 200,
      headers: { 'docker-content-digest': images[0]!.top.digest },
    })
  })

  test('that is gone upstream is gone here', async () => {
    const proxy = await startProxy('a')
    await ask(proxy, 'manifests/latest')
    registry.fault = () => ({ kind: 'status', status: 404 })
    expect((await ask(proxy, 'manifests/latest')).status).toBe(404)
  })

  test('is not answered for longer than it may be', async () => {
    const proxy = await startProxy('a', { tagMaxStaleMs: 0 })
    await ask(proxy, 'manifests/latest')
    registry.fault = () => limited(60)
    const refused = await ask(proxy, 'manifests/latest')
    expect(refused.status).toBe(429)
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(50)
  })
})

describe('a 429', () => {
  test('makes the whole cluster leave upstream alone, and tells clients when to come back', async () => {
    const [a, b] = [await startProxy('a'), await startProxy('b')]
    registry.fault = () => limited(60)
    expect((await ask(a, `manifests/${images[0]!.top.digest}`)).status).toBe(429)
    registry.requests.clear()
    registry.fault = undefined
    for (const proxy of [a, b]) {
      for (const path of [`manifests/${images[1]!.top.digest}`, `blobs/${images[0]!.blobs[0]!.digest}`, 'tags/list']) {
        const refused = await ask(proxy, path)
        expect({ path, status: refused.status }).toEqual({ path, status: 429 })
        expect(Number(refused.headers['retry-after'])).toBeGreaterThan(50)
        expect(JSON.parse(String(refused.body))).toMatchObject({ errors: [{ code: 'TOOMANYREQUESTS' }] })
      }
    }
    expect(registry.requests.all).toEqual([])
  })

  test('that never ends costs upstream a handful of requests, however many nodes ask, and clients a few seconds', async () => {
    const nodes = await Promise.all(Array.from({ length: 20 }, (_, index) => startProxy(`n${index}`)))
    registry.fault = () => ({ kind: 'status', status: 429 })
    const one = `blobs/${images[0]!.blobs[0]!.digest}`
    const answers = await Promise.all(nodes.map((node) => ask(node, one)))
    expect(answers.map(({ status }) => status)).toEqual(nodes.map(() => 429))
    expect(Number(answers[7]!.headers['retry-after'])).toBeGreaterThan(0)
    expect(registry.requests.countOf()).toBeLessThanOrEqual(3)

    // All of it different, so that no node answers for another.
    registry.requests.clear()
    const paths = nodes.map((_, index) => `blobs/sha256:${String(index).padStart(64, '0')}`)
    const others = await Promise.all(nodes.map((node, index) => ask(node, paths[index]!)))
    expect(others.map(({ status }) => status)).toEqual(nodes.map(() => 429))
    expect(registry.requests.countOf()).toBeLessThanOrEqual(10)
  })

  test('with a short pause is not seen by clients', async () => {
    const [a, b] = [await startProxy('a'), await startProxy('b')]
    let isLimited = true
    registry.fault = () => (isLimited ? limited(1) : undefined)
    const first = ask(a, `manifests/${images[0]!.top.digest}`)
    await expect.poll(() => registry.requests.countOf({ status: 429 }), { interval: 10 }).toBe(1)
    isLimited = false
    const [one, other] = await Promise.all([first, ask(b, `manifests/${images[1]!.top.digest}`)])
    expect([one.status, other.status]).toEqual([200, 200])
    const [refused, ...later] = registry.requests.all
    expect(later).toHaveLength(2)
    expect(Math.min(...later.map(({ startedMs }) => startedMs)) - refused!.startedMs).toBeGreaterThan(950)
  })

  test('is counted, and so is what upstream says of the requests that are left', async () => {
    const proxy = await startProxy('a')
    registry.fault = () => ({
      kind: 'status',
      status: 429,
      headers: { 'Retry-After': '60', 'RateLimit-Limit': '100;w=21600', 'RateLimit-Remaining': '0;w=21600' },
    })
    await ask(proxy, `manifests/${images[0]!.top.digest}`)
    const metrics = String((await rawRequest(`${proxy.adminUrl}/metrics`)).body)
    expect(metrics).toContain('layerlock_proxy_upstream_ratelimit_remaining{upstream="docker.io"} 0')
    expect(metrics).toContain('layerlock_proxy_upstream_ratelimit_limit{upstream="docker.io"} 100')
  })
})
