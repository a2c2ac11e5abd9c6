import { readFile } from 'node:fs/promises'
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
import { startHttpServer } from '../http-server.testbed.ts'
import { startTestProxy, type TestProxy } from '../proxy.testbed.ts'
import { rawRequest } from '../raw-request.testbed.ts'

const none = `sha256:${'0'.repeat(64)}`
let stack: AsyncDisposableStack
let folder: TemporaryFolder
let registry: RegistryServer
let proxy: TestProxy
let image: Image

beforeEach(async () => {
  stack = new AsyncDisposableStack()
  folder = stack.use(await temporaryFolder('app'))
  const layer = await createLayer({ folder: folder.path, sizeBytes: 4_096, seed: 'app' })
  image = await createImage({ folder: folder.path, layers: [layer], multiPlatform: true })
  registry = stack.use(await startRegistryServer())
  registry.contents.addImage(image, { repository: 'library/app', tag: 'latest' })
  proxy = stack.use(await startTestProxy({ folder: folder.path, upstream: registry.url }))
})

afterEach(async () => {
  await stack.disposeAsync()
})

const raw = (path: string, options?: Parameters<typeof rawRequest>[1]) => rawRequest(proxy.url + path, options)
const codeOf = (body: Buffer) => (JSON.parse(String(body)) as { errors: { code: string }[] }).errors[0]?.code

describe('GET /v2/', () => {
  test.each(['/v2/', '/v2', '/v2/?ns=docker.io'])('%s says that this is a registry', async (path) => {
    const { status, headers, body } = await raw(path)
    expect({ status, body: String(body) }).toEqual({ status: 200, body: '{}' })
    expect(headers['docker-distribution-api-version']).toBe('registry/2.0')
    expect((await raw(path, { method: 'HEAD' })).status).toBe(200)
    expect(registry.requests.countOf()).toBe(0)
  })
})

describe('manifests', () => {
  test.each(['tag', 'digest'])('by %s have the bytes and the headers of upstream', async (kind) => {
    const { top } = image
    const path = `/v2/library/app/manifests/${kind === 'tag' ? 'latest' : top.digest}`
    const { status, headers, body } = await raw(path)
    expect(status).toBe(200)
    expect(body.equals(await readFile(top.path))).toBe(true)
    const promised = {
      'content-type': top.mediaType,
      'content-length': String(top.size),
      'docker-content-digest': top.digest,
      etag: `"${top.digest}"`,
    }
    expect(headers).toMatchObject({ ...promised, 'x-layerlock-source': 'upstream' })
    const head = await raw(path, { method: 'HEAD' })
    expect(head).toMatchObject({ status: 200, headers: promised })
    expect(head.headers['x-layerlock-source']).toMatch(/^(store|inflight)$/)
    expect(head.body).toHaveLength(0)
    expect(registry.requests.countOf({ method: 'GET', kind: 'manifest' })).toBe(1)
  })

  test('are fetched for a HEAD too, so that the GET that follows costs upstream nothing', async () => {
    await raw('/v2/library/app/manifests/latest', { method: 'HEAD' })
    registry.requests.clear()
    expect((await raw(`/v2/library/app/manifests/${image.top.digest}`)).status).toBe(200)
    expect(registry.requests.countOf()).toBe(0)
  })

  test('answer 304 to a client that has them', async () => {
    const headers = { 'if-none-match': `"${image.top.digest}"` }
    for (const reference of ['latest', image.top.digest]) {
      const answer = await raw(`/v2/library/app/manifests/${reference}`, { headers })
      expect(answer).toMatchObject({ status: 304, headers: { 'docker-content-digest': image.top.digest } })
    }
    expect(registry.requests.countOf({ method: 'GET' })).toBe(0)
  })

  test('are not made of a layer, whether it has to be fetched or is here', async () => {
    const { digest } = image.layers[0]!
    for (const method of ['GET', 'HEAD', 'GET']) {
      const { status, headers, body } = await raw(`/v2/library/app/manifests/${digest}`, { method })
      expect({ status, type: headers['content-type'] }).toEqual({ status: 404, type: 'application/json' })
      expect(method === 'HEAD' ? 'MANIFEST_UNKNOWN' : codeOf(body)).toBe('MANIFEST_UNKNOWN')
      await raw(`/v2/library/app/blobs/${digest}`)
    }
  })

  test('of a tag that has moved are the new ones', async () => {
    await using fresh = await startTestProxy(
      { folder: folder.path, upstream: registry.url, node: 'b' },
      { tagTtlMs: 0 },
    )
    await rawRequest(`${fresh.url}/v2/library/app/manifests/latest`)
    registry.contents.setTag('library/app', 'latest', image.manifest.digest)
    const { headers } = await rawRequest(`${fresh.url}/v2/library/app/manifests/latest`)
    expect(headers['docker-content-digest']).toBe(image.manifest.digest)
  })

  test('that have wrong bytes are never answered', async () => {
    registry.fault = ({ method }) => (method === 'GET' ? { kind: 'corrupt', offset: 3 } : undefined)
    const { status, body } = await raw('/v2/library/app/manifests/latest')
    expect({ status, code: codeOf(body) }).toEqual({ status: 502, code: 'UNKNOWN' })
    registry.fault = undefined
    expect((await raw('/v2/library/app/manifests/latest')).status).toBe(200)
  })
})

describe('where a request goes', () => {
  test('ns names the upstream, and is told in the answer', async () => {
    const { status, headers } = await raw('/v2/library/app/manifests/latest?ns=docker.io')
    expect({ status, namespace: headers['oci-namespace'] }).toEqual({ status: 200, namespace: 'docker.io' })
    expect(registry.requests.all.every(({ url }) => !url.includes('ns='))).toBe(true)
  })

  test.each(['/v2/docker.io/library/app', '/v2/docker.io/app', '/v2/app'])('%s is library/app', async (path) => {
    expect((await raw(`${path}/manifests/latest`)).status).toBe(200)
  })

  test('an ns that is not configured is contacted by nobody', async () => {
    await using stranger = await startHttpServer((_request, response) => response.end())
    const { host } = new URL(stranger.url)
    const { status, body } = await raw(`/v2/library/app/manifests/latest?ns=${host}`)
    expect({ status, code: codeOf(body) }).toEqual({ status: 404, code: 'NAME_UNKNOWN' })
    expect(stranger.requests).toEqual([])
    expect(registry.requests.countOf()).toBe(0)
  })
})

describe('errors', () => {
  test.each([
    ['/v2/library/app/blobs/sha256:123', 400, 'DIGEST_INVALID'],
    ['/v2/library/app/blobs/latest', 400, 'DIGEST_INVALID'],
    [`/v2/library/app/blobs/${none}`, 404, 'BLOB_UNKNOWN'],
    [`/v2/library/none/blobs/${none}`, 404, 'BLOB_UNKNOWN'],
    ['/v2/library/app/manifests/none', 404, 'MANIFEST_UNKNOWN'],
    [`/v2/library/app/manifests/${none}`, 404, 'MANIFEST_UNKNOWN'],
    ['/v2/library/app/manifests/-bad-', 400, 'MANIFEST_INVALID'],
    ['/v2/Library/App/manifests/latest', 400, 'NAME_INVALID'],
    [`/v2/${'a'.repeat(256)}/manifests/latest`, 400, 'NAME_INVALID'],
    ['/v2/library/app/unknown/latest', 400, 'NAME_INVALID'],
    ['/v2/library/app/referrers/latest', 400, 'DIGEST_INVALID'],
    ['/', 400, 'NAME_INVALID'],
    ['//', 400, 'NAME_INVALID'],
    ['/v2/%zz/manifests/latest', 400, 'NAME_INVALID'],
    ['/v2/library/app/manifests/%00', 400, 'MANIFEST_INVALID'],
  ])('GET %s gives %i %s in the envelope of the spec', async (path, status, code) => {
    const answer = await raw(path)
    expect({ status: answer.status, code: codeOf(answer.body) }).toEqual({ status, code })
    expect(answer.headers['content-type']).toBe('application/json')
    expect(answer.headers['content-length']).toBe(String(answer.body.length))
  })

  test.each([
    ['blobs', 401, 401, 'UNAUTHORIZED'],
    ['blobs', 403, 403, 'DENIED'],
    ['blobs', 429, 429, 'TOOMANYREQUESTS'],
    ['blobs', 500, 502, 'UNKNOWN'],
    ['manifests', 403, 403, 'DENIED'],
    ['manifests', 429, 429, 'TOOMANYREQUESTS'],
  ])('GET of %s that upstream answers with %i gives %i %s', async (kind, upstream, status, code) => {
    registry.fault = () => ({ kind: 'status', status: upstream, headers: { 'retry-after': '30' } })
    const answer = await raw(`/v2/library/app/${kind}/${none}`)
    expect({ status: answer.status, code: codeOf(answer.body) }).toEqual({ status, code })
    expect(answer.headers['retry-after']).toBe(upstream === 401 ? undefined : '30')
  })

  test('of HEAD have no body', async () => {
    const { status, headers, body } = await raw('/v2/library/app/manifests/none', { method: 'HEAD' })
    expect(status).toBe(404)
    expect(Number(headers['content-length'])).toBeGreaterThan(0)
    expect(body).toHaveLength(0)
  })
})

describe('everything that would write', () => {
  test.each(['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND'])('%s is refused with 405', async (method) => {
    const { status, body, headers } = await raw('/v2/library/app/blobs/uploads/', { method })
    expect({ status, code: codeOf(body) }).toEqual({ status: 405, code: 'UNSUPPORTED' })
    expect(headers['allow']).toBe('GET, HEAD')
    expect(registry.requests.countOf()).toBe(0)
  })

  test.each([
    ['application/octet-stream', 5_000_000],
    ['application/json', 10],
    ['not a media type', 10],
    [undefined, 10],
  ])('is refused though it has a body of %s', async (type, length) => {
    const headers = { 'content-length': String(length), ...(type === undefined ? {} : { 'content-type': type }) }
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
      const answer = await raw('/v2/library/app/blobs/uploads/', { method, headers, body: Buffer.alloc(length) })
      expect({ status: answer.status, code: codeOf(answer.body) }).toEqual({ status: 405, code: 'UNSUPPORTED' })
    }
  })
})

describe('lists', () => {
  test('tags are passed through, and kept for as long as tags are', async () => {
    const answers = await Promise.all(Array.from({ length: 5 }, () => raw('/v2/library/app/tags/list?ns=docker.io')))
    for (const { status, headers, body } of answers) {
      expect(JSON.parse(String(body))).toEqual({ name: 'library/app', tags: ['latest'] })
      expect({ status, source: headers['x-layerlock-source'] }).toEqual({ status: 200, source: 'upstream' })
    }
    const head = await raw('/v2/library/app/tags/list', { method: 'HEAD' })
    expect(head).toMatchObject({ status: 200, headers: { 'content-length': answers[0]!.headers['content-length'] } })
    expect(head.body).toHaveLength(0)
    expect(registry.requests.countOf({ kind: 'tags' })).toBe(1)
    expect((await raw('/v2/library/app/tags/list?n=1')).status).toBe(200)
    expect(registry.requests.countOf({ kind: 'tags' })).toBe(2)
  })

  test('are asked for each time where tags are', async () => {
    const upstreams = [{ name: 'docker.io', url: new URL(registry.url), tags: { policy: 'always' } }] as const
    await using fresh = await startTestProxy({ folder: folder.path, upstream: registry.url, node: 'b' }, { upstreams })
    for (const tag of ['second', 'third']) {
      registry.contents.setTag('library/app', tag, image.top.digest)
      const { body } = await rawRequest(`${fresh.url}/v2/library/app/tags/list`)
      expect(JSON.parse(String(body))).toMatchObject({ tags: expect.arrayContaining([tag]) as unknown })
    }
  })

  test('whose size is not known are passed on as they come', async () => {
    registry.fault = () => ({ kind: 'noContentLength' })
    const { status, headers, body } = await raw('/v2/library/app/tags/list')
    expect({ status, length: headers['content-length'] }).toEqual({ status: 200, length: undefined })
    expect(JSON.parse(String(body))).toEqual({ name: 'library/app', tags: ['latest'] })
  })

  test('the Link to the next page leads back here', async () => {
    await using upstream = await startHttpServer((_request, response) => {
      response.writeHead(200, {
        'content-type': 'application/json',
        link: '</v2/library/app/tags/list?n=1&last=a>; rel="next"',
      })
      response.end('{"name":"library/app","tags":["a"]}')
    })
    await using other = await startTestProxy({ folder: folder.path, upstream: upstream.url, node: 'b' })
    const named = await rawRequest(`${other.url}/v2/library/app/tags/list?n=1&ns=docker.io`)
    expect(named.headers['link']).toBe('</v2/library/app/tags/list?n=1&last=a&ns=docker.io>; rel="next"')
    expect(upstream.requests[0]?.url).toBe('/v2/library/app/tags/list?n=1')
    const prefixed = await rawRequest(`${other.url}/v2/docker.io/library/app/tags/list?n=1`)
    expect(prefixed.headers['link']).toBe('</v2/docker.io/library/app/tags/list?n=1&last=a>; rel="next"')
  })

  test('referrers that upstream does not have stay a 404, so that clients use the tag instead', async () => {
    const { status, body } = await raw(`/v2/library/app/referrers/${image.top.digest}`)
    expect(status).toBe(404)
    expect(codeOf(body)).toBe('MANIFEST_UNKNOWN')
  })

  test('referrers are passed through with their headers', async () => {
    const index = JSON.stringify({ schemaVersion: 2, manifests: [] })
    await using upstream = await startHttpServer((_request, response) => {
      response.writeHead(200, {
        'content-type': 'application/vnd.oci.image.index.v1+json',
        'oci-filters-applied': 'artifactType',
      })
      response.end(index)
    })
    await using other = await startTestProxy({ folder: folder.path, upstream: upstream.url, node: 'b' })
    const answer = await rawRequest(`${other.url}/v2/library/app/referrers/${none}?artifactType=x`)
    expect(String(answer.body)).toBe(index)
    expect(answer.headers).toMatchObject({
      'content-type': 'application/vnd.oci.image.index.v1+json',
      'oci-filters-applied': 'artifactType',
    })
    expect(upstream.requests[0]?.url).toBe(`/v2/library/app/referrers/${none}?artifactType=x`)
  })

  test('that break off upstream are an error here, and the next request gets them', async () => {
    registry.fault = ({ nth }) => (nth === 1 ? { kind: 'cut', afterBytes: 3 } : undefined)
    expect((await raw('/v2/library/app/tags/list')).status).toBe(502)
    expect((await raw('/v2/library/app/tags/list')).status).toBe(200)
  })
})
