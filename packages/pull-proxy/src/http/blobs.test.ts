import { readdir, readFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import {
  createLayer,
  digestOf,
  httpGet,
  type HttpGetOptions,
  type Layer,
  type RegistryServer,
  startRegistryServer,
  temporaryFolder,
  type TemporaryFolder,
  waitFor,
} from '@layerlock/test-support'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { startTestProxy, type TestProxy } from '../proxy.testbed.ts'
import { parseMultipart } from './multipart.testbed.ts'

const sizeBytes = 400 * 1024
let stack: AsyncDisposableStack
let folder: TemporaryFolder
let registry: RegistryServer
let proxy: TestProxy
let layer: Layer
let bytes: Buffer
let path: string

beforeEach(async () => {
  stack = new AsyncDisposableStack()
  folder = stack.use(await temporaryFolder('blobs'))
  layer = await createLayer({ folder: folder.path, sizeBytes, seed: 'blobs' })
  bytes = await readFile(layer.path)
  registry = stack.use(await startRegistryServer())
  registry.contents.addBlob('library/app', { ...layer, mediaType: 'application/octet-stream' })
  proxy = stack.use(await startTestProxy({ folder: folder.path, upstream: registry.url }))
  path = `/v2/library/app/blobs/${layer.digest}`
})

afterEach(async () => {
  await stack.disposeAsync()
})

const get = (options: HttpGetOptions = {}) => httpGet(proxy.url + path, { keepBody: true, ...options })
const upstreamGets = () => registry.requests.countOf({ method: 'GET' })
const storedBlobs = () => readdir(join(proxy.store, 'blobs', 'sha256'))

/** Resolves when what was fetched is in the store. */
function landed(): Promise<unknown> {
  return waitFor(async () => (await inflight()).length === 0, { what: 'the flight to land' })
}

async function inflight(): Promise<{ readers: number; total?: number }[]> {
  const { body } = await httpGet(`${proxy.adminUrl}/v1/status`, { keepBody: true })
  return (JSON.parse(String(body)) as { inflight: { readers: number; total?: number }[] }).inflight
}

test('an upstream that sends nothing for a blob is not believed', async () => {
  registry.fault = ({ method }) => (method === 'GET' ? { kind: 'status', status: 200, body: '' } : undefined)
  const answer = await get()
  expect({ status: answer.status, isComplete: answer.error === undefined }).not.toEqual({
    status: 200,
    isComplete: true,
  })
  expect(await storedBlobs()).toEqual([])
  registry.fault = undefined
  expect(await get()).toMatchObject({ status: 200, digest: layer.digest })
})

test('a HEAD does not wait for a fetch that has no source yet', async () => {
  registry.fault = ({ method }) => (method === 'GET' ? { kind: 'hang' } : undefined)
  const pulling = get()
  await waitFor(() => upstreamGets() === 1, { what: 'the fetch' })
  expect(await get({ method: 'HEAD' })).toMatchObject({ status: 200, headers: { 'content-length': String(sizeBytes) } })
  registry.fault = undefined
  expect((await pulling).digest).toBe(layer.digest)
})

describe('GET of a blob', () => {
  test('has the bytes and the headers of the distribution-spec', async () => {
    const { status, headers, digest } = await get()
    expect({ status, digest }).toEqual({ status: 200, digest: layer.digest })
    expect(headers).toMatchObject({
      'content-type': 'application/octet-stream',
      'content-length': String(sizeBytes),
      'accept-ranges': 'bytes',
      'docker-content-digest': layer.digest,
      etag: `"${layer.digest}"`,
      'docker-distribution-api-version': 'registry/2.0',
    })
    expect(headers['content-encoding']).toBeUndefined()
  })

  test('says where the bytes come from', async () => {
    registry.fault = () => ({ kind: 'delay', ms: 50 })
    const first = get()
    await waitFor(async () => (await inflight()).length === 1, { what: 'the flight' })
    const second = get()
    const both = [await first, await second]
    await landed()
    const sources = [...both, await get()].map(({ headers }) => headers['x-layerlock-source'])
    expect(sources).toEqual(['upstream', 'inflight', 'store'])
    expect(upstreamGets()).toBe(1)
  })

  test('fetches once for sixteen clients at the same time', async () => {
    const pulls = await Promise.all(Array.from({ length: 16 }, () => get()))
    expect(new Set(pulls.map(({ digest }) => digest))).toEqual(new Set([layer.digest]))
    expect(upstreamGets()).toBe(1)
  })

  test('can be one of an empty blob', async () => {
    const empty = { ...layer, digest: digestOf(''), size: 0 }
    registry.contents.addBlob('library/app', { ...empty, mediaType: 'application/octet-stream' })
    for (const source of ['upstream', 'store']) {
      const { status, headers, bytes: count } = await httpGet(`${proxy.url}/v2/library/app/blobs/${empty.digest}`)
      expect({ status, count, source: headers['x-layerlock-source'] }).toEqual({ status: 200, count: 0, source })
      await landed()
    }
  })

  test('answers 304 to a client that has it', async () => {
    for (const tag of [`"${layer.digest}"`, `W/"${layer.digest}"`, `"x", "${layer.digest}"`]) {
      const { status, bytes: count } = await get({ headers: { 'if-none-match': tag } })
      expect({ status, count }).toEqual({ status: 304, count: 0 })
    }
    expect(registry.requests.countOf()).toBe(0)
    expect((await get({ headers: { 'if-none-match': '"other"' } })).status).toBe(200)
  })

  test('is looked for when a client asks whether there is anything at all', async () => {
    const headers = { 'if-none-match': '*' }
    expect((await get({ headers })).status).toBe(200)
    const missing = `${proxy.url}/v2/library/app/blobs/${digestOf('missing')}`
    expect((await httpGet(missing, { headers })).status).toBe(404)
  })
})

describe('HEAD of a blob', () => {
  test('does not fetch a blob that is not here', async () => {
    const head = await get({ method: 'HEAD' })
    expect(head).toMatchObject({ status: 200, bytes: 0 })
    expect(head.headers).toMatchObject({
      'content-length': String(sizeBytes),
      'docker-content-digest': layer.digest,
      'x-layerlock-source': 'upstream',
    })
    expect(registry.requests.all).toMatchObject([{ method: 'HEAD' }])
    expect(await storedBlobs()).toEqual([])
  })

  test('has no ranges', async () => {
    const head = await get({ method: 'HEAD', range: 'bytes=0-1' })
    expect(head).toMatchObject({ status: 200, headers: { 'content-length': String(sizeBytes) } })
  })

  test('asks upstream itself when the fetch for another repository fails', async () => {
    registry.fault = ({ repository }) => (repository === 'library/none' ? { kind: 'delay', ms: 200 } : undefined)
    const failing = httpGet(`${proxy.url}/v2/library/none/blobs/${layer.digest}`)
    await waitFor(async () => (await inflight()).length === 1, { what: 'the flight' })
    const head = await get({ method: 'HEAD' })
    expect((await failing).status).toBe(404)
    expect(head).toMatchObject({ status: 200, headers: { 'content-length': String(sizeBytes) } })
  })

  test('is answered from the store', async () => {
    await get()
    await landed()
    const head = await get({ method: 'HEAD' })
    expect(head).toMatchObject({ status: 200, bytes: 0 })
    expect(head.headers).toMatchObject({ 'content-length': String(sizeBytes), 'x-layerlock-source': 'store' })
    expect(registry.requests.countOf({ method: 'HEAD' })).toBe(0)
  })
})

describe.each(['cold', 'stored'])('a Range of a blob that is %s', (state) => {
  beforeEach(async () => {
    if (state === 'cold') return
    await get()
    await landed()
  })

  test.each([
    ['bytes=0-0', 0, 1],
    ['bytes=100-199', 100, 200],
    ['bytes=1000-', 1000, sizeBytes],
    ['bytes=-5', sizeBytes - 5, sizeBytes],
    [`bytes=0-${sizeBytes + 100}`, 0, sizeBytes],
    ['bytes=-99999999', 0, sizeBytes],
  ])('%s is answered with 206', async (range, start, end) => {
    const { status, headers, body } = await get({ range })
    expect(status).toBe(206)
    expect(headers['content-range']).toBe(`bytes ${start}-${end - 1}/${sizeBytes}`)
    expect(headers['content-length']).toBe(String(end - start))
    expect(body!.equals(bytes.subarray(start, end))).toBe(true)
    await registry.requests.settled()
    expect(registry.requests.all).toMatchObject([{ method: 'GET', range: undefined }])
  })

  test('several at once are answered with the parts, before one another or behind', async () => {
    const range = `bytes=300000-300009,0-9,${sizeBytes}-,-10`
    const { status, headers, body } = await get({ range })
    expect(status).toBe(206)
    expect(headers['content-length']).toBe(String(body!.length))
    const wanted = [
      [300_000, 300_010],
      [0, 10],
      [sizeBytes - 10, sizeBytes],
    ] as const
    expect(parseMultipart(headers['content-type'], body!)).toEqual(
      wanted.map(([start, end]) => ({
        type: 'application/octet-stream',
        range: `bytes ${start}-${end - 1}/${sizeBytes}`,
        bytes: bytes.subarray(start, end),
      })),
    )
    await registry.requests.settled()
    expect(registry.requests.all).toMatchObject([{ method: 'GET', range: undefined }])
  })

  test('is answered to those only who name the same content by If-Range', async () => {
    const statusFor = async (tag: string) => (await get({ range: 'bytes=1-2', headers: { 'if-range': tag } })).status
    expect(await statusFor(`"${layer.digest}"`)).toBe(206)
    for (const other of ['"other"', `W/"${layer.digest}"`, 'Mon, 23 Nov 2026 00:00:00 GMT']) {
      expect(await statusFor(other)).toBe(200)
    }
  })

  test.each([`bytes=${sizeBytes}-`, 'bytes=-0', `bytes=-0,${sizeBytes}-`])('%s is answered with 416', async (range) => {
    const { status, headers, bytes: count } = await get({ range })
    expect({ status, count }).toEqual({ status: 416, count: 0 })
    expect(headers['content-range']).toBe(`bytes */${sizeBytes}`)
  })

  test.each(['bytes=5-2', 'bytes=0-1,6-5', 'bytes=0-,0-', 'lines=1-2', 'bytes=x'])('%s is ignored', async (range) => {
    expect(await get({ range })).toMatchObject({ status: 200, digest: layer.digest })
  })
})

describe('a client that leaves', () => {
  test('does not stop the flight', async () => {
    registry.rate.bytesPerSecond = 2_000_000
    await get({ abortAfterBytes: 1 })
    await waitFor(async () => (await storedBlobs()).length === 1, { what: 'the blob to be stored' })
    expect(upstreamGets()).toBe(1)
  })

  test('is no longer counted as a reader', async () => {
    registry.fault = () => ({ kind: 'hang', afterBytes: 200_000 })
    await get({ abortAfterBytes: 1 })
    await waitFor(async () => (await inflight()).every(({ readers }) => readers === 0), { what: 'the reader to leave' })
    expect(await inflight()).toHaveLength(1)
  })

  test('before there are headers, is not counted as a reader once there are', async () => {
    registry.fault = () => ({ kind: 'hang', afterBytes: 1 })
    registry.latencyMs = 200
    const stop = new AbortController()
    const leaving = get({ signal: stop.signal })
    await waitFor(() => registry.requests.countOf() === 1, { what: 'the request upstream' })
    stop.abort()
    await leaving
    await waitFor(async () => (await inflight())[0]?.total === sizeBytes, { what: 'the size' })
    await waitFor(async () => (await inflight())[0]?.readers === 0, { what: 'the reader to leave', timeoutMs: 2_000 })
    expect(await inflight()).toHaveLength(1)
  })

  test('that is slow does not slow the others', async () => {
    const slow = get({ bytesPerSecond: 300_000 })
    const fast = get()
    expect(await Promise.race([slow.then(() => 'the slow one was first'), fast])).toMatchObject({
      digest: layer.digest,
    })
    expect((await slow).digest).toBe(layer.digest)
  })
})

describe('wrong bytes from upstream', () => {
  /** How a plain TCP client sees it: the head, how many bytes of the body, and how the connection ended. */
  async function pullRaw() {
    const { hostname, port } = new URL(proxy.url)
    const socket = connect(Number(port), hostname)
    socket.setEncoding('latin1')
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`)
    const all = await text(socket)
    const [head = '', ...body] = all.split('\r\n\r\n')
    return { head, bodyBytes: body.join('\r\n\r\n').length }
  }

  test('cut the client with a plain close before Content-Length, and leave nothing in the store', async () => {
    registry.fault = () => ({ kind: 'corrupt', offset: 10 })
    // A reset would make this throw.
    const { head, bodyBytes } = await pullRaw()
    expect(head).toContain('200 OK')
    expect(head).toContain(`content-length: ${sizeBytes}`)
    expect(bodyBytes).toBeLessThanOrEqual(sizeBytes - 64 * 1024)
    await landed()
    expect(await storedBlobs()).toEqual([])
    expect(await readdir(join(proxy.store, 'ingest'))).toEqual([])
  })

  test('do not matter to the next request', async () => {
    registry.fault = ({ nth }) => (nth === 1 ? { kind: 'corrupt', offset: sizeBytes - 1 } : undefined)
    expect((await get()).error).toBeDefined()
    expect(await get()).toMatchObject({ status: 200, digest: layer.digest })
    expect(upstreamGets()).toBe(2)
  })
})

test('a cut in mid-blob upstream is not seen by the client', async () => {
  registry.fault = ({ nth }) => (nth < 3 ? { kind: 'cut', afterBytes: 100_000 } : undefined)
  expect(await get()).toMatchObject({ status: 200, digest: layer.digest })
  expect(upstreamGets()).toBe(3)
})

test('a blob of the store is there again after a restart', async () => {
  await get()
  await proxy[Symbol.asyncDispose]()
  proxy = stack.use(await startTestProxy({ folder: folder.path, upstream: 'http://127.0.0.1:1' }))
  expect(await get()).toMatchObject({ digest: layer.digest, headers: { 'x-layerlock-source': 'store' } })
})
