import { createServer } from 'node:net'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import {
  createImage,
  createLayer,
  httpGet,
  type Image,
  type ProxyProcess,
  type RegistryServer,
  startProxy,
  startRegistryServer,
  temporaryFolder,
  waitFor,
} from '@layerlock/test-support'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Known } from './request-parts.ts'
import { sendVolley, type VolleyOptions, type VolleyResult } from './volley.ts'
import { drawDistributionPath, type DrawPath } from './well-framed-request.ts'

/** How many requests, and from which draw: set both to see a failure again. */
const COUNT = Number(process.env['LAYERLOCK_MALFORMED_COUNT'] ?? 100_000)
const SEED = Number(process.env['LAYERLOCK_MALFORMED_SEED'] ?? Math.floor(Math.random() * 2 ** 31))

const MIB = 1024 * 1024
/** What a process may hold on to after 100,000 requests: garbage that was not collected yet, no more. */
const MAX_GROWTH_BYTES = 128 * MIB
const TOKEN = 'the-token-of-the-cluster'

const NAME = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*)*'
const DIGEST = '(?:sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})'
const WELL_FORMED = [
  new RegExp(`^/v2/${NAME}/blobs/${DIGEST}$`),
  new RegExp(`^/v2/${NAME}/manifests/(?:${DIGEST}|[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127})$`),
  new RegExp(`^/v2/${NAME}/referrers/${DIGEST}(?:\\?[!-~]*)?$`),
  new RegExp(`^/v2/${NAME}/tags/list(?:\\?[!-~]*)?$`),
]

describe(`malformed requests (seed ${SEED})`, () => {
  const parts = new AsyncDisposableStack()
  let registry: RegistryServer
  let proxy: ProxyProcess
  let image: Image
  let known: Known
  let trapped = 0

  beforeAll(async () => {
    const { path: folder } = parts.use(await temporaryFolder('malformed'))
    const layer = await createLayer({ folder, sizeBytes: 4_096, seed: 1 })
    image = await createImage({ folder, layers: [layer] })
    registry = parts.use(await startRegistryServer({ referrers: true }))
    registry.contents.addImage(image, { repository: 'library/app', tag: 'latest' })
    const trap = parts.adopt(
      createServer((socket) => {
        trapped++
        socket.destroy()
      }),
      (server) => void server.close(),
    )
    trap.listen(0, '127.0.0.2')
    await once(trap, 'listening')
    await writeFile(join(folder, 'token'), TOKEN)
    proxy = parts.use(
      await startProxy({
        node: 'a',
        storeFolder: join(folder, 'store'),
        upstreams: { 'docker.io': registry.url },
        defaultUpstream: 'docker.io',
        args: ['--tag-ttl', '1h', '--drain', '1s', '--cluster-token-file', join(folder, 'token')],
      }),
    )
    known = {
      repository: 'library/app',
      digest: layer.digest,
      trap: `127.0.0.2:${(trap.address() as AddressInfo).port}`,
    }
    await httpGet(`${proxy.url}/v2/library/app/blobs/${known.digest}`)
    await waitFor(async () => (await proxy.status()).store.blobs === 1, { what: 'the blob to be stored' })
  })
  afterAll(() => parts.disposeAsync())
  beforeEach(() => registry.requests.clear())

  const volley = (options: Pick<VolleyOptions, 'url' | 'count' | 'name' | 'drawPath'>) =>
    sendVolley({ ...options, seed: SEED, known })

  /** Nothing of what must never happen has happened. */
  function expectUnharmed({ statuses }: VolleyResult): void {
    expect(proxy.exit).toBeUndefined()
    // A few say as much as thousands would.
    expect(
      proxy
        .logLines()
        .filter(({ level }) => Number(level) >= 50)
        .slice(0, 5),
    ).toEqual([])
    expect([...statuses.keys()].filter((status) => status >= 500)).toEqual([])
    expect(trapped).toBe(0)
    const strange = registry.requests.all.filter(
      ({ method, url }) => !['GET', 'HEAD'].includes(method) || !WELL_FORMED.some((pattern) => pattern.test(url)),
    )
    expect(strange.slice(0, 5).map(({ method, url }) => `${method} ${url}`)).toEqual([])
    const queries = registry.requests.all.map(({ url }) => new URL(url, registry.url).searchParams)
    expect(queries.filter((query) => query.has('ns'))).toEqual([])
  }

  test(
    `${COUNT} of them leave the proxy as it was, and reach nobody but the configured upstream`,
    { timeout: 600_000 },
    async () => {
      const warmUp = await volley({ url: proxy.url, count: COUNT / 10, name: 'warm-up' })
      const beforeBytes = await proxy.rssBytes()
      const result = await volley({ url: proxy.url, count: COUNT, name: 'clients' })
      const grownBytes = (await proxy.rssBytes()) - beforeBytes
      expect(result.sent).toBeGreaterThanOrEqual(COUNT)
      for (const each of [warmUp, result]) expectUnharmed(each)
      for (const status of [200, 400, 404, 405]) expect(result.statuses.get(status)).toBeGreaterThan(0)
      expect(grownBytes).toBeLessThan(MAX_GROWTH_BYTES)
      await waitFor(async () => (await proxy.status()).inflight.length === 0, { what: 'nothing to be fetched' })
    },
  )

  test('after them an image is pulled as ever, each part asked for once', async () => {
    const base = `${proxy.url}/v2/library/app`
    const { digest: top } = await httpGet(`${base}/manifests/latest`)
    expect(top).toBe(image.top.digest)
    for (const { digest } of image.blobs) {
      for (let pull = 0; pull < 2; pull++) {
        expect(await httpGet(`${base}/blobs/${digest}`)).toMatchObject({ status: 200, digest })
      }
    }
    await registry.requests.settled()
    // The tag and the layer may have been asked for by a request that was not malformed at all.
    for (const { digest } of [image.top, ...image.blobs]) {
      expect(registry.requests.countOf({ method: 'GET', digest })).toBeLessThanOrEqual(1)
    }
    expect(registry.requests.countOf({ digest: image.config.digest })).toBe(1)
  })

  test('the peer port serves nothing without the token, whatever is asked', { timeout: 300_000 }, async () => {
    const result = await volley({ url: proxy.peerUrl, count: COUNT / 20, name: 'peers', drawPath: drawPeerPath })
    expectUnharmed(result)
    expect(result.statuses.get(401)).toBeGreaterThan(0)
    expect([...result.statuses.keys()].filter((status) => status < 400)).toEqual([])
    const url = `${proxy.peerUrl}/peer/v1/blobs/${known.digest}`
    const answer = await httpGet(url, { headers: { authorization: `Bearer ${TOKEN}` } })
    expect(answer).toMatchObject({ status: 200, digest: known.digest })
  })

  test('the admin port goes on answering', { timeout: 300_000 }, async () => {
    const result = await volley({ url: proxy.adminUrl, count: COUNT / 20, name: 'admin', drawPath: drawAdminPath })
    expectUnharmed(result)
    expect(await proxy.status()).toMatchObject({ node: 'a', inflight: [] })
  })
})

const drawPeerPath: DrawPath = (random, known) =>
  random.pick([
    `/peer/v1/blobs/${known.digest}`,
    `/peer/v1/blobs/${known.digest}?token=${TOKEN}`,
    `/peer/v1/blobs/sha256:${'%00'.repeat(20)}`,
    `/peer/v1/blobs/..%2f..%2f..%2fetc%2fpasswd`,
    `/peer/v1/blobs/${'a'.repeat(random.between(150, 400))}`,
    `/peer//v1/blobs/${known.digest}`,
    `/peer/v1/../v1/blobs/${known.digest}`,
    `/peer/v1/blobs/`,
    drawDistributionPath(random, known),
  ])

const drawAdminPath: DrawPath = (random, known) =>
  random.pick([
    '/healthz',
    '/v1/status',
    '/metrics',
    '/v1/status/../../x',
    '/%76%31/status',
    drawDistributionPath(random, known),
  ])
