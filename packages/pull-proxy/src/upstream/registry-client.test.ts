import {
  createImage,
  createLayer,
  type Image,
  type Layer,
  startRegistryServer,
  temporaryFolder,
  type TemporaryFolder,
} from '@layerlock/test-support'
import type { RequestListener } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { failureOf } from '../failure-of.testbed.ts'
import { startHttpServer } from '../http-server.testbed.ts'
import { type Digest, digestOf, parseDigest } from '../oci/digest.ts'
import { parseRepository } from '../oci/repository.ts'
import { ProxyStats } from '../status/proxy-stats.ts'
import { readAll } from './http-exchange.ts'
import { createRegistryClient } from './registry-client.testbed.ts'
import type { OpenedContent, RegistryClient } from './registry-client.ts'

const repository = parseRepository('library/app')
const scope = { repository }
const sizeBytes = 200 * 1024
const { signal } = new AbortController()

let folder: TemporaryFolder
let layer: Layer
let image: Image
let digest: Digest

beforeAll(async () => {
  folder = await temporaryFolder('upstream')
  layer = await createLayer({ folder: folder.path, sizeBytes, seed: 'upstream' })
  image = await createImage({ folder: folder.path, layers: [layer], multiPlatform: true })
  digest = parseDigest(layer.digest)
})

afterAll(async () => {
  await folder[Symbol.asyncDispose]()
})

async function startRegistry(options: Parameters<typeof startRegistryServer>[0] = {}) {
  const registry = await startRegistryServer(options)
  registry.contents.addImage(image, { repository, tag: 'latest' })
  return registry
}

function open(client: RegistryClient, offset = 0): Promise<OpenedContent> {
  return client.open(scope, { kind: 'blobs', digest }, { offset, signal })
}

/** The digest of all that an opened body sends. */
async function digestOfBody({ body }: OpenedContent): Promise<string> {
  return digestOf(await readAll({ body, url: new URL('http://x'), status: 200, headers: {} }, 10 * sizeBytes))
}

/** A client of a server that answers everything like this. */
async function clientOf(listener: RequestListener) {
  const server = await startHttpServer(listener)
  const client = createRegistryClient(server.url)
  return {
    server,
    client,
    async [Symbol.asyncDispose]() {
      await client[Symbol.asyncDispose]()
      await server[Symbol.asyncDispose]()
    },
  }
}

describe('open()', () => {
  test('opens a blob with its size', async () => {
    await using registry = await startRegistry()
    await using client = createRegistryClient(registry.url)
    const opened = await open(client)
    expect(opened).toMatchObject({ size: sizeBytes, surplus: 0 })
    expect(await digestOfBody(opened)).toBe(digest)
  })

  test('opens a blob from an offset on, with a Range', async () => {
    await using registry = await startRegistry()
    await using client = createRegistryClient(registry.url)
    const opened = await open(client, sizeBytes - 10)
    expect(opened).toMatchObject({ size: sizeBytes, surplus: 0 })
    expect(((await opened.body.toArray()) as Buffer[]).reduce((sum, { length }) => sum + length, 0)).toBe(10)
    expect(registry.requests.all[0]).toMatchObject({ range: `bytes=${sizeBytes - 10}-`, status: 206 })
  })

  test('says how much comes too early when upstream does not know Range', async () => {
    await using registry = await startRegistry({ fault: () => ({ kind: 'ignoreRange' }) })
    await using client = createRegistryClient(registry.url)
    const opened = await open(client, 5_000)
    expect(opened).toMatchObject({ size: sizeBytes, surplus: 5_000 })
    opened.body.on('error', () => undefined).destroy()
  })

  test('learns the size by a HEAD where the answer does not tell it', async () => {
    await using registry = await startRegistry({
      fault: ({ method }) => (method === 'GET' ? { kind: 'noContentLength' } : undefined),
    })
    await using client = createRegistryClient(registry.url, { concurrency: 1 })
    const opened = await open(client)
    expect(opened.size).toBe(sizeBytes)
    expect(await digestOfBody(opened)).toBe(digest)
  })

  test('believes a HEAD more than what others have told', async () => {
    await using registry = await startRegistry({
      fault: ({ method }) => (method === 'GET' ? { kind: 'noContentLength' } : undefined),
    })
    await using client = createRegistryClient(registry.url)
    const opened = await client.open(scope, { kind: 'blobs', digest }, { offset: 0, knownSize: 5, signal })
    expect(opened.size).toBe(sizeBytes)
    opened.body.on('error', () => undefined).destroy()
  })

  test('goes by the size that is known where upstream never tells it', async () => {
    await using registry = await startRegistry({ fault: () => ({ kind: 'noContentLength' }) })
    await using client = createRegistryClient(registry.url)
    await expect(open(client)).rejects.toThrow('does not tell the size')
    registry.requests.clear()
    const opened = await client.open(scope, { kind: 'blobs', digest }, { offset: 0, knownSize: sizeBytes, signal })
    expect(opened.size).toBe(sizeBytes)
    expect(await digestOfBody(opened)).toBe(digest)
    expect(registry.requests.countOf({ method: 'HEAD' })).toBe(1)
  })

  test.each(['bytes 0-99/100', 'bytes 6-99/100', 'bytes */100', 'nonsense', undefined])(
    'refuses a 206 whose Content-Range is %j when it asked for bytes=5-',
    async (range) => {
      await using upstream = await clientOf((_request, response) => {
        response.writeHead(206, range === undefined ? {} : { 'content-range': range }).end('x'.repeat(95))
      })
      await expect(open(upstream.client, 5)).rejects.toMatchObject({ code: 'UNKNOWN' })
    },
  )

  test('wants content as it is, and manifests of any kind', async () => {
    await using upstream = await clientOf((_request, response) => response.end('x'))
    const opened = await upstream.client.open(scope, { kind: 'manifests', digest }, { offset: 0, signal })
    opened.body.resume()
    const { headers, url } = upstream.server.requests[0]!
    expect(url).toBe(`/v2/library/app/manifests/${digest}`)
    expect(headers['accept-encoding']).toBe('identity')
    expect(headers.accept).toContain('application/vnd.oci.image.index.v1+json')
    expect(headers.accept).toContain('application/vnd.docker.distribution.manifest.v2+json')
  })

  test('keeps the path of the base URL', async () => {
    await using server = await startHttpServer((_request, response) => response.end('x'))
    await using client = createRegistryClient(`${server.url}/mirrors/hub/`)
    ;(await open(client)).body.resume()
    expect(server.requests[0]?.url).toBe(`/mirrors/hub/v2/library/app/blobs/${digest}`)
  })

  test('ends with the reason of its signal', async () => {
    await using registry = await startRegistry({ fault: () => ({ kind: 'hang' }) })
    await using client = createRegistryClient(registry.url)
    const stop = new AbortController()
    const opening = failureOf(client.open(scope, { kind: 'blobs', digest }, { offset: 0, signal: stop.signal }))
    const reason = new Error('the proxy stops')
    stop.abort(reason)
    expect(await opening).toBe(reason)
  })
})

describe('redirects', () => {
  test('of blobs carry no Authorization to another host, but a Range', async () => {
    await using registry = await startRegistry({ auth: {}, redirectBlobsTo: '127.0.0.2' })
    await using client = createRegistryClient(registry.url)
    expect(await digestOfBody(await open(client))).toBe(digest)
    const resumed = await open(client, 1_000)
    expect(resumed).toMatchObject({ size: sizeBytes, surplus: 0 })
    resumed.body.on('error', () => undefined).destroy()
    const last = registry.requests.all.slice(-2)
    expect(last).toMatchObject([
      { kind: 'blob', range: 'bytes=1000-', authorization: true, status: 307 },
      { kind: 'storage', range: 'bytes=1000-', authorization: false, status: 206 },
    ])
  })

  test('on the same host keep the Authorization', async () => {
    await using upstream = await clientOf((request, response) => {
      if (request.url === '/elsewhere') response.end('x')
      else if (request.url?.startsWith('/token')) response.end('{"token":"t"}')
      else if (request.headers.authorization === undefined) {
        const realm = `http://${request.headers.host}/token`
        response.writeHead(401, { 'www-authenticate': `Bearer realm="${realm}"` }).end()
      } else response.writeHead(302, { location: '/elsewhere' }).end()
    })
    ;(await open(upstream.client)).body.resume()
    expect(upstream.server.requests.at(-1)).toMatchObject({ url: '/elsewhere', headers: { authorization: 'Bearer t' } })
  })

  test.each([
    ['/elsewhere?signature=old', 403, 'UNKNOWN'],
    ['/elsewhere?signature=old', 400, 'UNKNOWN'],
    ['/elsewhere', 403, 'DENIED'],
  ])('to %j on the same host that is answered %i ends in %s', async (location, status, code) => {
    await using upstream = await clientOf((request, response) => {
      if (request.url?.startsWith('/elsewhere') === true) response.writeHead(status).end()
      else response.writeHead(307, { location }).end()
    })
    await expect(open(upstream.client)).rejects.toMatchObject({ code, permanent: code === 'DENIED' })
  })

  test('that never end are given up', async () => {
    let hops = 0
    await using upstream = await clientOf((_request, response) =>
      response.writeHead(307, { location: `/again?${hops++}` }).end(),
    )
    await expect(open(upstream.client)).rejects.toThrow('redirects more than 5 times')
    expect(upstream.server.requests).toHaveLength(6)
  })

  test.each(['ftp://example.com/', 'http://[', 'javascript:alert(1)'])('to %j are refused', async (location) => {
    await using upstream = await clientOf((_request, response) => response.writeHead(307, { location }).end())
    await expect(open(upstream.client)).rejects.toMatchObject({ code: 'UNKNOWN' })
    expect(upstream.server.requests).toHaveLength(1)
  })
})

describe('resolveTag()', () => {
  test('asks with one HEAD', async () => {
    await using registry = await startRegistry()
    await using client = createRegistryClient(registry.url)
    const { top } = image
    const target = { digest: top.digest, size: top.size, mediaType: top.mediaType }
    expect(await client.resolveTag(scope, 'latest', signal)).toEqual(target)
    expect(registry.requests.all).toMatchObject([{ method: 'HEAD', reference: 'latest' }])
  })

  test.each(['docker-content-digest', 'content-length', 'content-type'])(
    'reads the manifest itself where HEAD tells no %s',
    async (missing) => {
      const manifest = JSON.stringify({ mediaType: 'application/vnd.oci.image.index.v1+json' })
      const headers: Record<string, string> = {
        'docker-content-digest': digest,
        'content-length': '5',
        'content-type': 'text/plain',
      }
      const { [missing]: _, ...rest } = headers
      await using upstream = await clientOf((request, response) => {
        if (request.method === 'HEAD') response.writeHead(200, rest).end()
        else response.end(manifest)
      })
      expect(await upstream.client.resolveTag(scope, 'latest', signal)).toEqual({
        digest: digestOf(Buffer.from(manifest)),
        size: manifest.length,
        mediaType: 'application/vnd.oci.image.index.v1+json',
      })
    },
  )

  test('reads no more of a manifest than 4 MiB', async () => {
    await using upstream = await clientOf((request, response) => {
      response.end(request.method === 'HEAD' ? undefined : Buffer.alloc(5 * 1024 * 1024))
    })
    await expect(upstream.client.resolveTag(scope, 'latest', signal)).rejects.toThrow('more than')
  })
})

describe('sizeOf()', () => {
  test('asks with a HEAD', async () => {
    await using registry = await startRegistry()
    await using client = createRegistryClient(registry.url)
    expect(await client.sizeOf(scope, 'blobs', digest, signal)).toBe(sizeBytes)
    expect(registry.requests.all).toMatchObject([{ method: 'HEAD', digest }])
  })

  test('rejects when upstream does not tell', async () => {
    await using upstream = await clientOf((_request, response) => response.end())
    await expect(upstream.client.sizeOf(scope, 'blobs', digest, signal)).rejects.toThrow('does not tell the size')
  })
})

test('requests that are small keep their connection, and wait for no body', async () => {
  const ports = new Set<number | undefined>()
  await using server = await startHttpServer((request, response) => {
    if (request.method === 'HEAD') ports.add(request.socket.remotePort)
    if (request.method === 'HEAD') {
      response.writeHead(200, { 'content-length': 5, 'content-type': 'x', 'docker-content-digest': digest }).end()
    } else response.writeHead(200, { 'content-length': 100_000 }).write('x')
  })
  await using client = createRegistryClient(server.url, { concurrency: 1 })
  const opened = await open(client)
  for (let nth = 0; nth < 10; nth++) await client.resolveTag(scope, 'latest', signal)
  // undici counts a connection as busy for a moment after its answer.
  expect(ports.size).toBeLessThanOrEqual(2)
  opened.body.on('error', () => undefined).destroy()
})

test('a token server that hangs does not keep anyone who has gone', async () => {
  await using registry = await startRegistry({
    auth: {},
    fault: ({ kind }) => (kind === 'token' ? { kind: 'hang' } : undefined),
  })
  await using client = createRegistryClient(registry.url)
  const stop = new AbortController()
  const resolving = failureOf(client.resolveTag(scope, 'latest', stop.signal))
  await expect.poll(() => registry.requests.countOf({ kind: 'token' })).toBe(1)
  const reason = new Error('the proxy stops')
  stop.abort(reason)
  expect(await resolving).toBe(reason)
})

test('requests are counted, by what they are for', async () => {
  await using registry = await startRegistry({ auth: {} })
  const stats = new ProxyStats()
  await using client = createRegistryClient(registry.url, { stats })
  await client.resolveTag(scope, 'latest', signal)
  await digestOfBody(await open(client))
  expect(stats.upstreamRequests).toEqual({ blobs: 1, manifests: 2, tokens: 1 })
})
