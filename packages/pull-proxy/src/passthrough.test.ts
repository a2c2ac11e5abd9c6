import { LockServer, MemoryLockStore } from '@layerlock/server'
import {
  createImage,
  createLayer,
  type Image,
  type Layer,
  type RegistryServer,
  startRegistryServer,
  temporaryFolder,
  type TemporaryFolder,
  waitFor,
} from '@layerlock/test-support'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { digestOf } from './oci/digest.ts'
import type { ProxyOptions } from './proxy-options.ts'
import { startTestProxy, type TestProxy } from './proxy.testbed.ts'
import { type RawAnswer, rawRequest } from './raw-request.testbed.ts'

const basic = (user: string) => `Basic ${Buffer.from(`${user}:secret`).toString('base64')}`
const [alice, bob] = [basic('alice'), basic('bob')]
const RIGHTS: Readonly<Record<string, string>> = { [alice]: 'private/a', [bob]: 'private/b' }
const challenge = 'Bearer realm="https://auth.example/token",service="registry",scope="repository:private/a:pull"'

let stack: AsyncDisposableStack
let folder: TemporaryFolder
let registry: RegistryServer
let server: LockServer
let layer: Layer
let image: Image

beforeEach(async () => {
  stack = new AsyncDisposableStack()
  folder = stack.use(await temporaryFolder('passthrough'))
  layer = await createLayer({ folder: folder.path, sizeBytes: 400 * 1024, seed: 'private' })
  image = await createImage({ folder: folder.path, layers: [layer] })
  registry = stack.use(
    await startRegistryServer({
      fault: ({ authorization = '', repository = '' }) => {
        if (RIGHTS[authorization] === repository) return undefined
        const isKnown = authorization in RIGHTS
        return { kind: 'status', status: isKnown ? 403 : 401, headers: { 'WWW-Authenticate': challenge } }
      },
    }),
  )
  registry.contents.addImage(image, { repository: 'private/a', tag: 'latest' })
  server = stack.use(await LockServer.start({ host: '127.0.0.1', port: 0, store: new MemoryLockStore() }))
})

afterEach(async () => {
  await stack.disposeAsync()
})

async function startProxy(node: string, options: Partial<ProxyOptions> = {}): Promise<TestProxy> {
  const upstreams = [{ name: 'docker.io', url: new URL(registry.url), auth: 'passthrough' }] as const
  const cluster = { lockServer: { url: server.url }, clusterToken: 'secret' }
  return stack.use(
    await startTestProxy({ folder: folder.path, upstream: registry.url, node }, { upstreams, ...cluster, ...options }),
  )
}

function ask(proxy: TestProxy, path: string, authorization?: string, method = 'GET'): Promise<RawAnswer> {
  const headers: Record<string, string> = authorization === undefined ? {} : { authorization }
  return rawRequest(`${proxy.url}/v2/${path}`, { method, headers })
}

const blob = (repository = 'private/a') => `${repository}/blobs/${layer.digest}`
/** Everything that must not be answered with content, and with which status. */
const REFUSED = [
  ['bob, through alice’s repository', 'private/a', bob, 403],
  ['bob, through his own', 'private/b', bob, 404],
  ['nobody', 'private/a', undefined, 401],
  ['somebody unknown', 'private/a', basic('mallory'), 401],
] as const

describe('what alice may read', () => {
  test('she gets, by tag and by digest, at one copy from upstream', async () => {
    const proxy = await startProxy('a')
    const manifest = await ask(proxy, 'private/a/manifests/latest', alice)
    expect(manifest.headers['docker-content-digest']).toBe(image.top.digest)
    for (const { digest } of image.blobs) {
      expect(digestOf((await ask(proxy, `private/a/blobs/${digest}`, alice)).body)).toBe(digest)
    }
    for (const { digest } of [image.top, ...image.blobs]) {
      expect(registry.requests.countOf({ method: 'GET', digest })).toBe(1)
    }
  })

  test.each(REFUSED)('is not given from the store to %s', async (_who, repository, authorization, status) => {
    const proxy = await startProxy('a')
    await ask(proxy, blob(), alice)
    await ask(proxy, 'private/a/manifests/latest', alice)
    for (const path of [
      blob(repository),
      `${repository}/manifests/${image.top.digest}`,
      `${repository}/manifests/latest`,
    ]) {
      for (const method of ['GET', 'HEAD']) {
        const answer = await ask(proxy, path, authorization, method)
        expect({ path, status: answer.status }).toEqual({ path, status })
        expect(answer.headers['content-length']).not.toBe(String(layer.size))
        expect(answer.headers['docker-content-digest']).toBeUndefined()
        expect(answer.headers['www-authenticate']).toBe(status === 401 ? challenge : undefined)
      }
    }
    expect((await ask(proxy, blob(), alice)).status).toBe(200)
  })

  test.each(REFUSED)('is not given from another node to %s', async (_who, repository, authorization, status) => {
    const [a, b] = [await startProxy('a'), await startProxy('b')]
    await ask(a, blob(), alice)
    registry.requests.clear()
    expect((await ask(b, blob(repository), authorization)).status).toBe(status)
    expect(registry.requests.countOf({ method: 'GET' })).toBe(0)
    const shared = await ask(b, blob(), alice)
    expect(digestOf(shared.body)).toBe(layer.digest)
    expect(shared.headers['x-layerlock-source']).toBe('peer')
    expect(registry.requests.countOf({ method: 'GET' })).toBe(0)
  })

  test.each(REFUSED)('is not given while it arrives to %s', async (_who, repository, authorization, status) => {
    const [a, b] = [await startProxy('a'), await startProxy('b')]
    registry.rate.bytesPerSecond = 100_000
    const pulling = ask(a, blob(), alice)
    await waitFor(() => registry.requests.bytesOf(layer.digest) > 50_000, { what: 'the first bytes' })
    for (const proxy of [a, b]) {
      expect((await ask(proxy, blob(repository), authorization)).status).toBe(status)
      expect((await ask(proxy, blob(repository), authorization, 'HEAD')).status).toBe(status)
    }
    registry.rate.bytesPerSecond = undefined
    expect(digestOf((await pulling).body)).toBe(layer.digest)
    expect(registry.requests.countOf({ method: 'GET', digest: layer.digest, status: 200 })).toBe(1)
  })

  test('is given to bob too, once it is in his repository', async () => {
    const proxy = await startProxy('a')
    await ask(proxy, blob(), alice)
    registry.contents.addBlob(
      'private/b',
      image.blobs.find(({ digest }) => digest === layer.digest)!,
    )
    const answer = await ask(proxy, blob('private/b'), bob)
    expect(digestOf(answer.body)).toBe(layer.digest)
    expect(answer.headers['x-layerlock-source']).toMatch(/^(store|inflight)$/)
    expect(registry.requests.countOf({ method: 'GET', digest: layer.digest })).toBe(1)
  })

  test('she does not get any more when upstream has thought better of it', async () => {
    const proxy = await startProxy('a', { accessTtlMs: 50 })
    expect((await ask(proxy, blob(), alice)).status).toBe(200)
    registry.fault = () => ({ kind: 'status', status: 403 })
    await waitFor(async () => (await ask(proxy, blob(), alice)).status === 403, { what: 'the refusal' })
  })
})

test('a client whose credentials have ended is told how to authenticate, each time', async () => {
  const proxy = await startProxy('a')
  expect((await ask(proxy, `private/a/manifests/${image.top.digest}`, alice)).status).toBe(200)
  registry.fault = () => ({ kind: 'status', status: 401, headers: { 'WWW-Authenticate': challenge } })
  for (let time = 0; time < 3; time++) {
    const refused = await ask(proxy, 'private/a/manifests/latest', alice)
    expect({ time, status: refused.status, challenge: refused.headers['www-authenticate'] }).toEqual({
      time,
      status: 401,
      challenge,
    })
  }
})

test('a flight goes on with the credentials of another who follows it, when those in use have ended', async () => {
  const proxy = await startProxy('a')
  const fresh = basic('alice-again')
  let isRevoked = false
  registry.rate.bytesPerSecond = 200_000
  registry.fault = ({ authorization, method, range }) => {
    if (authorization === alice && isRevoked) return { kind: 'status', status: 401 }
    return method === 'GET' && range === undefined ? { kind: 'cut', afterBytes: 300_000 } : undefined
  }
  const first = ask(proxy, blob(), alice)
  await waitFor(() => registry.requests.bytesOf(layer.digest) > 50_000, { what: 'the first bytes' })
  const second = ask(proxy, blob(), fresh)
  await waitFor(() => registry.requests.countOf({ method: 'HEAD' }) === 2, { what: 'the second to be let in' })
  isRevoked = true
  registry.rate.bytesPerSecond = undefined
  for (const { body } of await Promise.all([first, second])) expect(digestOf(body)).toBe(layer.digest)
  const statuses = registry.requests.matching({ method: 'GET' }).map(({ status }) => status)
  expect(statuses).toEqual([200, 401, 206])
})

describe('GET /v2/', () => {
  test('tells clients how to authenticate, as upstream does', async () => {
    const proxy = await startProxy('a')
    registry.fault = ({ authorization }) =>
      authorization === alice ? undefined : { kind: 'status', status: 401, headers: { 'WWW-Authenticate': challenge } }
    const refused = await ask(proxy, '')
    expect(refused).toMatchObject({ status: 401, headers: { 'www-authenticate': challenge } })
    expect((await ask(proxy, '', alice)).status).toBe(200)
  })

  test('leaves an upstream alone that wants no requests', async () => {
    const proxy = await startProxy('a')
    registry.fault = () => ({ kind: 'status', status: 429, headers: { 'Retry-After': '60' } })
    for (let time = 0; time < 3; time++) {
      const refused = await ask(proxy, '')
      expect(refused.status).toBe(429)
      expect(Number(refused.headers['retry-after'])).toBeGreaterThan(50)
    }
    expect(registry.requests.countOf()).toBe(1)
  })

  test('says that this is a registry when upstream does not answer', async () => {
    const proxy = await startProxy('a')
    registry.fault = () => ({ kind: 'status', status: 503 })
    expect((await ask(proxy, '')).status).toBe(200)
  })
})

describe('through another upstream', () => {
  /** A registry that says yes to everything, and sends nothing but nonsense. */
  async function startLiar(): Promise<RegistryServer> {
    const liar = stack.use(await startRegistryServer())
    const headers = { 'Docker-Content-Digest': image.top.digest, 'Content-Type': image.top.mediaType }
    liar.fault = () => ({ kind: 'status', status: 200, headers, body: 'nonsense' })
    return liar
  }

  test.each(['proxy', 'passthrough'] as const)('that lies, nobody gets it (%s)', async (auth) => {
    const liar = await startLiar()
    const upstreams = [
      { name: 'docker.io', url: new URL(registry.url), auth: 'passthrough' },
      { name: 'liar.example', url: new URL(liar.url), auth },
    ] as const
    const [a, b] = [await startProxy('a', { upstreams }), await startProxy('b', { upstreams })]
    await ask(a, blob(), alice)
    await ask(a, `private/a/manifests/${image.top.digest}`, alice)
    for (const proxy of [a, b]) {
      for (const name of [`blobs/${layer.digest}`, `manifests/${image.top.digest}`, 'manifests/latest']) {
        // What is wrong is cut.
        const cut = { body: Buffer.alloc(0) }
        const { body } = await ask(proxy, `liar.example/x/y/${name}`).catch(() => cut)
        expect([layer.digest, image.top.digest]).not.toContain(digestOf(body))
      }
    }
    const head = await ask(a, `liar.example/x/y/blobs/${layer.digest}`, undefined, 'HEAD')
    expect(head.headers['content-length']).not.toBe(String(layer.size))
  })

  test('that has it too, it is fetched from there, on a node that does not know the private one either', async () => {
    const open = stack.use(await startRegistryServer())
    open.contents.addImage(image, { repository: 'library/other', tag: 'latest' })
    const openExample = { name: 'open.example', url: new URL(open.url) }
    const a = await startProxy('a', {
      upstreams: [{ name: 'docker.io', url: new URL(registry.url), auth: 'passthrough' }, openExample],
    })
    const b = await startProxy('b', { upstreams: [openExample], defaultUpstream: 'open.example' })
    await ask(a, blob(), alice)
    const path = `open.example/library/other/blobs/${layer.digest}`
    open.fault = () => ({ kind: 'status', status: 404 })
    for (const proxy of [a, b]) expect((await ask(proxy, path)).status).toBe(404)
    open.fault = undefined
    await waitFor(async () => (await ask(b, path)).status === 200, {
      what: 'the refusal to be forgotten',
      timeoutMs: 20_000,
    })
    const shared = await ask(a, path)
    expect(digestOf(shared.body)).toBe(layer.digest)
    expect(shared.headers['x-layerlock-source']).toBe('peer')
    expect(open.requests.countOf({ method: 'GET', status: 200 })).toBe(1)
  })
})

test('credentials of clients go nowhere with auth = "proxy"', async () => {
  const proxy = await startProxy('a', { upstreams: [{ name: 'docker.io', url: new URL(registry.url) }] })
  registry.fault = undefined
  registry.requests.clear()
  expect((await ask(proxy, blob(), alice)).status).toBe(200)
  expect(registry.requests.all.filter(({ authorization }) => authorization)).toEqual([])
})
