import {
  digestOf,
  httpGet,
  type HttpGetResult,
  type ProxyProcess,
  requireBinaries,
  waitFor,
} from '@layerlock/test-support'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Cluster, startCluster } from '../cluster.ts'
import { gainsOf, tryEverything } from './attempts.ts'
import { type AuthKind, type PrivateRegistry, startPrivateRegistry, type UserName } from './private-registry.ts'

const MIB = 1024 * 1024
const available = requireBinaries('docker-registry', 'openssl').available
const KINDS: readonly AuthKind[] = ['tokens', 'passwords']

describe.skipIf(!available).for(KINDS)('two users of a registry with %s, whose credentials are passed on', (kind) => {
  const parts = new AsyncDisposableStack()
  let registry: PrivateRegistry

  beforeAll(async () => {
    registry = parts.use(await startPrivateRegistry(kind))
  })
  afterAll(() => parts.disposeAsync())
  beforeEach(() => {
    registry.upstream.rate.bytesPerSecond = undefined
    registry.upstream.requests.clear()
  })

  function startNodes(accessTtl = '10m'): Promise<Cluster> {
    const proxyArgs = ['--auth', 'passthrough', '--access-ttl', accessTtl]
    return startCluster({ nodes: ['a', 'b'], upstream: registry.upstream.url, proxyArgs })
  }

  async function get(proxy: ProxyProcess, user: UserName, path: string): Promise<HttpGetResult> {
    const repository = path.split('/', 2).join('/')
    const authorization = await registry.authorizationOf(user, repository)
    const accept = [registry.a.manifest.mediaType, '*/*'].join(', ')
    return httpGet(`${proxy.url}/v2/${path}`, { headers: { authorization, accept } })
  }

  /** Alice pulls all of her image and gets it. */
  async function alicePulls(proxy: ProxyProcess): Promise<void> {
    const { a } = registry
    const wanted = [a.config, ...a.layers].map(({ digest }) => `blobs/${digest}`)
    for (const path of ['manifests/1', `manifests/${a.manifest.digest}`, ...wanted]) {
      const { status, digest } = await get(proxy, 'alice', `private/a/${path}`)
      if (status !== 200) throw new Error(`alice got ${status} for ${path}`)
      if (![a.manifest.digest, path.slice(path.indexOf('/') + 1)].includes(digest)) throw new Error(`wrong ${path}`)
    }
  }

  async function bytesOf(cluster: Cluster): Promise<readonly unknown[]> {
    const all = await Promise.all(cluster.proxies.map((proxy) => proxy.status()))
    return all.map(({ bytes }) => bytes)
  }

  test('the challenge of upstream is what clients get', async () => {
    await using cluster = await startNodes()
    const [{ url }] = cluster.proxies as [ProxyProcess]
    for (const path of ['', 'private/a/manifests/1', `private/a/blobs/${registry.secret.digest}`]) {
      const direct = await httpGet(`${registry.upstream.url}/v2/${path}`)
      expect(direct.status).toBe(401)
      const relayed = await httpGet(`${url}/v2/${path}`, { keepBody: true })
      expect(relayed.status).toBe(401)
      expect(relayed.headers['www-authenticate']).toBe(direct.headers['www-authenticate'])
      expect(JSON.parse(relayed.body!.toString())).toMatchObject({ errors: [{ code: 'UNAUTHORIZED' }] })
    }
  })

  test('alice gets her image, each byte once from upstream, and is asked about once while upstream’s yes is good', async () => {
    await using cluster = await startNodes()
    const { a, upstream } = registry
    const authorization = await registry.authorizationOf('alice', 'private/a')
    const fetch = (path: string) =>
      httpGet(`${cluster.proxies[0]!.url}/v2/private/a/${path}`, { headers: { authorization, accept: '*/*' } })
    const paths = [`manifests/${a.manifest.digest}`, ...a.blobs.map(({ digest }) => `blobs/${digest}`)]
    for (const path of paths) expect(await fetch(path)).toMatchObject({ status: 200, digest: path.split('/')[1] })
    await upstream.requests.settled()
    for (const digest of a.pulledDigests) {
      expect(upstream.requests.countOf({ method: 'GET', digest }), `GETs of ${digest}`).toBe(1)
      expect(upstream.requests.countOf({ method: 'HEAD', digest }), `HEADs of ${digest}`).toBeLessThanOrEqual(1)
    }
    const unique = [a.manifest, ...a.blobs].reduce((sum, { size }) => sum + size, 0)
    expect(upstream.requests.bytesOf()).toBe(unique)

    upstream.requests.clear()
    for (const path of paths) expect(await fetch(path)).toMatchObject({ status: 200, digest: path.split('/')[1] })
    expect(upstream.requests.all.map(({ method, url }) => `${method} ${url}`)).toEqual([])
  })

  test('bob gets nothing of alice’s, from neither her node’s store nor over his own node', async () => {
    await using cluster = await startNodes()
    await alicePulls(cluster.proxies[0]!)
    await registry.upstream.requests.settled()
    registry.upstream.requests.clear()
    const before = await bytesOf(cluster)
    for (const { url } of cluster.proxies) {
      expect(gainsOf(await tryEverything(registry, url), registry)).toEqual([])
    }
    expect(await bytesOf(cluster), 'what the nodes have sent and fetched').toEqual(before)
    expect(registry.upstream.requests.bytesOf(registry.secret.digest)).toBeLessThan(registry.secret.size)
    await alicePulls(cluster.proxies[1]!)
    expect(registry.upstream.requests.countOf({ method: 'GET', kind: 'blob', status: 200 })).toBe(0)
  })

  test('bob gets nothing of a layer that is just being fetched for alice', async () => {
    await using cluster = await startNodes()
    const { upstream, secret } = registry
    const [first] = cluster.proxies as [ProxyProcess]
    upstream.rate.bytesPerSecond = 8 * MIB
    const pull = get(first, 'alice', `private/a/blobs/${secret.digest}`)
    await waitFor(() => upstream.requests.bytesOf(secret.digest) >= secret.size / 2, { what: 'half of the layer' })
    // So slow that bob has all the time that he may need.
    upstream.rate.bytesPerSecond = 64 * 1024
    const before = (await bytesOf(cluster))[1]
    for (const { url } of cluster.proxies) {
      expect(gainsOf(await tryEverything(registry, url), registry)).toEqual([])
    }
    expect((await first.status()).inflight.map(({ digest }) => digest)).toEqual([secret.digest])
    expect((await bytesOf(cluster))[1], 'what his node has sent and fetched').toEqual(before)
    upstream.rate.bytesPerSecond = undefined
    expect(await pull).toMatchObject({ status: 200, digest: secret.digest })
    await upstream.requests.settled()
    expect(upstream.requests.countOf({ method: 'GET', digest: secret.digest, status: 200 })).toBe(1)
  })

  test('bob gets a layer that his repository has too, and it is not fetched again', async () => {
    await using cluster = await startNodes()
    const { upstream, shared } = registry
    await alicePulls(cluster.proxies[0]!)
    await upstream.requests.settled()
    upstream.requests.clear()
    for (const proxy of cluster.proxies) {
      const answer = await get(proxy, 'bob', `private/b/blobs/${shared.digest}`)
      expect(answer).toMatchObject({ status: 200, digest: shared.digest })
      const refused = await get(proxy, 'bob', `private/a/blobs/${shared.digest}`)
      expect([401, 403]).toContain(refused.status)
    }
    await upstream.requests.settled()
    expect(upstream.requests.bytesOf(shared.digest)).toBeLessThan(shared.size)
    const asked = { method: 'HEAD', repository: 'private/b', digest: shared.digest }
    expect(upstream.requests.countOf(asked), 'questions whether he may, one of each node').toBe(2)
  })

  test('alice and bob at the same moment get the layer that both have, from one fetch', async () => {
    await using cluster = await startNodes()
    const { upstream, shared } = registry
    upstream.rate.bytesPerSecond = 2 * MIB
    const answers = await Promise.all([
      get(cluster.proxies[0]!, 'alice', `private/a/blobs/${shared.digest}`),
      get(cluster.proxies[0]!, 'bob', `private/b/blobs/${shared.digest}`),
      get(cluster.proxies[1]!, 'bob', `private/b/blobs/${shared.digest}`),
    ])
    for (const answer of answers) expect(answer).toMatchObject({ status: 200, digest: shared.digest })
    await upstream.requests.settled()
    expect(upstream.requests.countOf({ method: 'GET', digest: shared.digest })).toBe(1)
    expect(upstream.requests.bytesOf(shared.digest)).toBe(shared.size)
  })
})

describe.skipIf(!available).for(KINDS)('a user of a registry with %s who is let in no longer', (kind) => {
  test('is refused after the access TTL, by every node and for all that is stored', async () => {
    await using registry = await startPrivateRegistry(kind)
    const proxyArgs = ['--auth', 'passthrough', '--access-ttl', '1s']
    await using cluster = await startCluster({ nodes: ['a', 'b'], upstream: registry.upstream.url, proxyArgs })
    const { a, secret, b } = registry
    const authorization = await registry.authorizationOf('alice', 'private/a')
    const paths = [`blobs/${secret.digest}`, `manifests/${a.manifest.digest}`, 'manifests/1']
    const ask = (proxy: ProxyProcess, path: string) =>
      httpGet(`${proxy.url}/v2/private/a/${path}`, { headers: { authorization, accept: '*/*' } })
    for (const proxy of cluster.proxies) {
      for (const path of paths) expect((await ask(proxy, path)).status).toBe(200)
    }
    await registry.revoke('alice')
    for (const proxy of cluster.proxies) {
      for (const path of paths) {
        const refused = async () => (await ask(proxy, path)).status === 401
        await waitFor(refused, { what: `alice to be refused ${path}`, timeoutMs: 20_000 })
      }
      // It stays so.
      for (const path of paths) expect((await ask(proxy, path)).status).toBe(401)
    }
    const bobs = await registry.authorizationOf('bob', 'private/b')
    const path = `private/b/manifests/${b.manifest.digest}`
    const answer = await httpGet(`${cluster.proxies[0]!.url}/v2/${path}`, {
      headers: { authorization: bobs, accept: '*/*' },
      keepBody: true,
    })
    expect(digestOf(answer.body!)).toBe(b.manifest.digest)
  })
})
