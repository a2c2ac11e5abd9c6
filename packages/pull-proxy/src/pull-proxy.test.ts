import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { LockServer, MemoryLockStore } from '@layerlock/server'
import {
  createLayer,
  httpGet,
  type Layer,
  type RegistryServer,
  startRegistryServer,
  temporaryFolder,
  type TemporaryFolder,
  waitFor,
} from '@layerlock/test-support'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parseDigest } from './oci/digest.ts'
import type { ProxyOptions } from './proxy-options.ts'
import { startTestProxy, type TestProxy } from './proxy.testbed.ts'
import { peerBlobPath } from './relay/peer.ts'

const sizeBytes = 400 * 1024
let stack: AsyncDisposableStack
let folder: TemporaryFolder
let registry: RegistryServer
let layer: Layer
let path: string

beforeEach(async () => {
  stack = new AsyncDisposableStack()
  folder = stack.use(await temporaryFolder('proxy'))
  layer = await createLayer({ folder: folder.path, sizeBytes, seed: 'proxy' })
  registry = stack.use(await startRegistryServer())
  registry.contents.addBlob('library/app', { ...layer, mediaType: 'application/octet-stream' })
  path = `/v2/library/app/blobs/${layer.digest}`
})

afterEach(async () => {
  await stack.disposeAsync()
})

async function startProxy(options: Partial<ProxyOptions> = {}, node = 'node-a'): Promise<TestProxy> {
  return stack.use(await startTestProxy({ folder: folder.path, upstream: registry.url, node }, options))
}

interface Status {
  readonly node: string
  readonly bytes: Readonly<Record<string, number>>
  readonly upstreamRequests: Readonly<Record<string, number>>
  readonly inflight: readonly Readonly<Record<string, unknown>>[]
  readonly store: { readonly blobs: number; readonly bytes: number }
  readonly degraded: { readonly active: boolean; readonly pulls: number }
}

async function adminGet(proxy: TestProxy, name: string) {
  const { status, body } = await httpGet(`${proxy.adminUrl}${name}`, { keepBody: true })
  return { status, answer: JSON.parse(String(body)) as unknown }
}

const statusOf = async (proxy: TestProxy) => (await adminGet(proxy, '/v1/status')).answer as Status
const isIdle = (proxy: TestProxy) =>
  waitFor(async () => (await statusOf(proxy)).inflight.length === 0, { what: 'the flight to land' })

describe('the admin port', () => {
  test('says that the proxy lives and is ready', async () => {
    const proxy = await startProxy()
    expect(await adminGet(proxy, '/healthz')).toEqual({ status: 200, answer: { status: 'ok' } })
    expect(await adminGet(proxy, '/readyz')).toEqual({ status: 200, answer: { status: 'ready' } })
  })

  test('tells what the proxy has done', async () => {
    const proxy = await startProxy()
    await httpGet(proxy.url + path)
    await isIdle(proxy)
    await httpGet(proxy.url + path, { range: 'bytes=0-99' })
    await waitFor(async () => (await statusOf(proxy)).bytes['served'] === sizeBytes + 100, { what: 'the bytes' })
    expect(await statusOf(proxy)).toMatchObject({
      node: 'node-a',
      bytes: { upstream: sizeBytes, peer: 0, served: sizeBytes + 100, relayed: 0 },
      upstreamRequests: { blobs: 1, manifests: 0, tokens: 0 },
      responses: { upstream: 1, store: 1 },
      degraded: { active: false, pulls: 0 },
      inflight: [],
      store: { blobs: 1, bytes: sizeBytes },
    })
  })

  test('tells of flights that are under way', async () => {
    registry.fault = () => ({ kind: 'hang', afterBytes: 200_000 })
    const proxy = await startProxy({ drainMs: 0 })
    const stop = new AbortController()
    const pulling = httpGet(proxy.url + path, { signal: stop.signal })
    const what = 'the first bytes'
    await waitFor(async () => (await statusOf(proxy)).inflight[0]?.['done'] === 200_000, { what })
    const { inflight } = await statusOf(proxy)
    expect(inflight).toEqual([
      { digest: layer.digest, source: 'upstream', done: 200_000, total: sizeBytes, readers: 1 },
    ])
    stop.abort()
    await pulling
  })
})

describe('a proxy that stops', () => {
  test('lets a running download finish, and takes no new connection meanwhile', async () => {
    registry.rate.bytesPerSecond = 500_000
    const proxy = await startProxy()
    const running = httpGet(proxy.url + path)
    await waitFor(async () => (await statusOf(proxy)).inflight.length === 1, { what: 'the download' })
    const stopped = proxy[Symbol.asyncDispose]()
    await waitFor(async () => (await adminGet(proxy, '/readyz')).status === 503, { what: 'not to be ready' })
    expect((await adminGet(proxy, '/healthz')).status).toBe(200)
    const refused = await httpGet(proxy.url + path)
    expect(refused.error).toBeDefined()
    expect(await running).toMatchObject({ status: 200, digest: layer.digest })
    await stopped
    expect((await httpGet(`${proxy.adminUrl}/healthz`)).error).toBeDefined()
  })

  test('still answers other nodes while a client is attached', async () => {
    registry.rate.bytesPerSecond = 300_000
    const proxy = await startProxy({ clusterToken: 'secret' })
    const running = httpGet(proxy.url + path)
    await waitFor(async () => (await statusOf(proxy)).inflight.length === 1, { what: 'the download' })
    const stopped = proxy[Symbol.asyncDispose]()
    await waitFor(async () => (await httpGet(proxy.url + path)).error !== undefined, { what: 'the drain' })
    const headers = { authorization: 'Bearer secret' }
    const relayed = await httpGet(proxy.peerUrl + peerBlobPath(parseDigest(layer.digest)), { headers })
    expect(relayed).toMatchObject({ status: 200, digest: layer.digest, headers: { 'x-layerlock-source': 'inflight' } })
    expect(await running).toMatchObject({ status: 200, digest: layer.digest })
    await stopped
    expect((await httpGet(proxy.peerUrl + peerBlobPath(parseDigest(layer.digest)))).error).toBeDefined()
  })

  test('waits no longer than drainMs, and then cuts', async () => {
    registry.fault = () => ({ kind: 'hang', afterBytes: 200_000 })
    const proxy = await startProxy({ drainMs: 100 })
    const running = httpGet(proxy.url + path)
    await waitFor(() => registry.requests.bytesOf() === 200_000, { what: 'the first bytes' })
    await proxy[Symbol.asyncDispose]()
    expect(await running).toMatchObject({ status: 200, error: { code: 'UND_ERR_SOCKET' } })
  })

  test('stops at once when nothing is under way, also with a connection that is kept alive', async () => {
    const proxy = await startProxy({ drainMs: 60_000 })
    const response = await fetch(proxy.url + path)
    await response.arrayBuffer()
    await proxy[Symbol.asyncDispose]()
    await proxy[Symbol.asyncDispose]()
    expect((await httpGet(proxy.url + path)).error).toBeDefined()
  })
})

describe('a proxy that cannot start', () => {
  test('says which address is taken, and leaves nothing listening', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const { port } = taken.address() as AddressInfo
    const listen = { host: '127.0.0.1', port }
    for (const setting of ['listen', 'peerListen', 'adminListen']) {
      await expect(startProxy({ [setting]: listen })).rejects.toMatchObject({
        code: 'EADDRINUSE',
        message: expect.stringMatching(`^${setting}: cannot listen on 127.0.0.1:${port} `),
      })
    }
    taken.close()
  })

  test('says that the store cannot be had', async () => {
    await expect(startProxy({ store: layer.path })).rejects.toThrow(/ENOTDIR|EEXIST/)
  })
})

describe('the peer API', () => {
  const peerGet = (proxy: TestProxy, headers: Record<string, string> = {}) =>
    httpGet(proxy.peerUrl + peerBlobPath(parseDigest(layer.digest)), { headers })

  test('gives nothing to anyone without a lock server', async () => {
    const proxy = await startProxy()
    await httpGet(proxy.url + path)
    await isIdle(proxy)
    for (const headers of [{}, { authorization: 'Bearer undefined' }, { authorization: 'Bearer' }]) {
      expect((await peerGet(proxy, headers)).status).toBe(401)
    }
  })

  test('is not opened to everyone by a proxy that is not open to everyone', async () => {
    const lockServer = { url: 'http://127.0.0.1:1' }
    const upstreams = [{ name: 'docker.io', url: new URL(registry.url), auth: 'passthrough' }] as const
    await expect(startProxy({ lockServer, upstreams })).rejects.toThrow(/^clusterToken: is missing; .*docker\.io/)
  })
})

describe('two proxies with a lock server', () => {
  async function startPair(): Promise<{ server: LockServer; a: TestProxy; b: TestProxy }> {
    const server = stack.use(await LockServer.start({ host: '127.0.0.1', port: 0, store: new MemoryLockStore() }))
    const options = { lockServer: { url: server.url, lockTimeoutMs: 1_000 }, clusterToken: 'secret' }
    return { server, a: await startProxy(options, 'node-a'), b: await startProxy(options, 'node-b') }
  }

  test('fetch a blob once that both want at the same time', async () => {
    const { a, b } = await startPair()
    registry.rate.bytesPerSecond = 1_000_000
    const pulls = await Promise.all([a, b, a, b].map(({ url }) => httpGet(url + path)))
    expect(pulls.map(({ digest }) => digest)).toEqual(Array(4).fill(layer.digest))
    expect(registry.requests.countOf({ method: 'GET' })).toBe(1)
    expect(registry.requests.bytesOf()).toBe(sizeBytes)
  })

  test('give the blob to each other later', async () => {
    const { a, b } = await startPair()
    await httpGet(a.url + path)
    await isIdle(a)
    const second = await httpGet(b.url + path)
    expect(second).toMatchObject({ digest: layer.digest, headers: { 'x-layerlock-source': 'peer' } })
    expect(registry.requests.countOf({ method: 'GET' })).toBe(1)
    expect((await statusOf(b)).bytes).toMatchObject({ upstream: 0, peer: sizeBytes })
  })

  test('go on when the lock server is gone', async () => {
    const { server, a } = await startPair()
    await server[Symbol.asyncDispose]()
    expect(await httpGet(a.url + path)).toMatchObject({ digest: layer.digest })
    expect((await statusOf(a)).degraded).toEqual({ active: true, pulls: 1 })
  })

  test('keep the session in the store for the next life', async () => {
    const { a } = await startPair()
    const kept = () => readFile(`${a.store}/session`, 'utf8').catch(() => '')
    expect(await waitFor(kept, { what: 'the session to be kept' })).toMatch(/^[\w-]{20,}\n$/)
  })
})
