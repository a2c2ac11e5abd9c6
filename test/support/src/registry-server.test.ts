import { once } from 'node:events'
import { connect } from 'node:net'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { startCountingProxy } from './counting-proxy.ts'
import type { Fault } from './fault.ts'
import { httpGet, type HttpGetOptions, type HttpGetResult } from './http-get.ts'
import { createImage, type Image } from './image.ts'
import { createLayer } from './layer.ts'
import type { RecordedServer, TrafficOptions } from './recorded-server.ts'
import { type RegistryServer, startRegistryServer } from './registry-server.ts'
import { temporaryFolder, type TemporaryFolder } from './temporary-folder.ts'
import { waitFor } from './wait-for.ts'

const sizeBytes = 512 * 1024
let folder: TemporaryFolder
let image: Image
let blobPath: string
let digest: string

beforeAll(async () => {
  folder = await temporaryFolder('registry-test')
  const layer = await createLayer({ folder: folder.path, sizeBytes, seed: 1 })
  image = await createImage({ folder: folder.path, layers: [layer], multiPlatform: true })
  ;({ digest } = layer)
  blobPath = `/v2/library/app/blobs/${digest}`
})

afterAll(async () => {
  await folder[Symbol.asyncDispose]()
})

async function startRegistry(options: Parameters<typeof startRegistryServer>[0] = {}): Promise<RegistryServer> {
  const registry = await startRegistryServer(options)
  registry.contents.addImage(image, { repository: 'library/app', tag: 'latest' })
  return registry
}

describe('a registry server', () => {
  test('serves manifests by tag and by digest, and to HEAD without a body', async () => {
    await using registry = await startRegistry()
    const byTag = await httpGet(`${registry.url}/v2/library/app/manifests/latest`)
    expect(byTag).toMatchObject({ status: 200, digest: image.top.digest })
    expect(byTag.headers).toMatchObject({
      'content-type': image.top.mediaType,
      'docker-content-digest': image.top.digest,
      'content-length': String(image.top.size),
    })
    const head = await httpGet(`${registry.url}/v2/library/app/manifests/latest`, { method: 'HEAD' })
    expect(head).toMatchObject({ status: 200, bytes: 0 })
    expect(head.headers['content-length']).toBe(String(image.top.size))
    const child = await httpGet(`${registry.url}/v2/library/app/manifests/${image.manifest.digest}`)
    expect(child.digest).toBe(image.manifest.digest)
    expect(registry.requests.countOf({ kind: 'manifest', digest: image.top.digest })).toBe(2)
  })

  test('serves ranges with 206, and 416 beyond the end', async () => {
    await using registry = await startRegistry()
    const tail = await httpGet(registry.url + blobPath, { range: `bytes=${sizeBytes - 3}-` })
    expect(tail).toMatchObject({ status: 206, bytes: 3 })
    expect(tail.headers['content-range']).toBe(`bytes ${sizeBytes - 3}-${sizeBytes - 1}/${sizeBytes}`)
    const beyond = await httpGet(registry.url + blobPath, { range: `bytes=${sizeBytes}-` })
    expect(beyond.status).toBe(416)
    expect(beyond.headers['content-range']).toBe(`bytes */${sizeBytes}`)
  })

  test('has 404 for what it does not have', async () => {
    await using registry = await startRegistry()
    for (const path of ['manifests/none', `blobs/${digest.replace(/.$/, 'x')}`, `referrers/${digest}`]) {
      expect((await httpGet(`${registry.url}/v2/library/app/${path}`)).status).toBe(404)
    }
    expect((await httpGet(`${registry.url}/v2/library/other/blobs/${digest}`)).status).toBe(404)
  })

  test('asks for a token of the repository, and gives one for the right credentials', async () => {
    await using registry = await startRegistry({ auth: { credentials: { user: 'u', password: 'p' } } })
    const challenge = (await httpGet(registry.url + blobPath)).headers['www-authenticate']
    expect(challenge).toBe(
      `Bearer realm="${registry.url}/token",service="registry.test",scope="repository:library/app:pull"`,
    )
    const tokenUrl = `${registry.url}/token?service=registry.test&scope=repository:library/app:pull`
    expect((await httpGet(tokenUrl)).status).toBe(401)
    const authorization = `Basic ${Buffer.from('u:p').toString('base64')}`
    const { body } = await httpGet(tokenUrl, { headers: { authorization }, keepBody: true })
    const { token } = JSON.parse(String(body)) as { token: string }
    const headers = { authorization: `Bearer ${token}` }
    expect(await httpGet(registry.url + blobPath, { headers })).toMatchObject({ status: 200, digest })
    expect((await httpGet(`${registry.url}/v2/library/other/blobs/${digest}`, { headers })).status).toBe(401)
    registry.auth?.revokeAll()
    expect((await httpGet(registry.url + blobPath, { headers })).status).toBe(401)
  })

  test('redirects blobs to a host that refuses an Authorization header', async () => {
    await using registry = await startRegistry({ redirectBlobsTo: '127.0.0.2' })
    const { status, headers } = await httpGet(registry.url + blobPath)
    expect(status).toBe(307)
    const location = String(headers['location'])
    expect(location).toContain('http://127.0.0.2:')
    expect(await httpGet(location)).toMatchObject({ status: 200, digest })
    expect((await httpGet(location, { headers: { authorization: 'Bearer x' } })).status).toBe(400)
    expect(registry.requests.countOf({ kind: 'storage', digest })).toBe(2)
  })

  test('stops sending, and counting, when the client hangs up', async () => {
    // Slow enough that the end cannot come before the client is gone.
    await using registry = await startRegistry({ rateBytesPerSecond: 200_000 })
    const { bytes } = await httpGet(registry.url + blobPath, { abortAfterBytes: 1 })
    await registry.requests.settled()
    const [record] = registry.requests.all
    expect(record).toMatchObject({ status: 200, completed: false })
    expect(record?.bytesSent).toBeGreaterThanOrEqual(bytes)
    expect(record?.bytesSent).toBeLessThan(sizeBytes)
  })

  test('closes hanging connections on dispose', async () => {
    const registry = await startRegistry({ fault: () => ({ kind: 'hang', afterBytes: 10 }) })
    const download = httpGet(registry.url + blobPath)
    await waitFor(() => registry.requests.bytesOf() === 10, { what: 'the first bytes' })
    await registry[Symbol.asyncDispose]()
    expect(await download).toMatchObject({ status: 200, error: expect.any(Error) })
  })
})

describe.each([
  ['a registry server', (options: TrafficOptions) => startRegistry(options)],
  ['a counting proxy', startProxyOfRegistry],
] as const)('faults of %s', (_, start) => {
  async function getWith(fault: Fault, options?: HttpGetOptions): Promise<[HttpGetResult, RecordedServer]> {
    await using server = await start({ fault: () => fault })
    const result = await httpGet(server.url + blobPath, options)
    await server.requests.settled()
    return [result, server]
  }

  test('cut closes after so many bytes', async () => {
    const [result, { requests }] = await getWith({ kind: 'cut', afterBytes: 100_000 })
    expect(result).toMatchObject({ status: 200, bytes: 100_000, error: { code: 'UND_ERR_SOCKET' } })
    expect(result.headers['content-length']).toBe(String(sizeBytes))
    expect(requests.all[0]).toMatchObject({ bytesSent: 100_000, completed: false })
  })

  test('cut is a FIN and reset a RST', async () => {
    expect(await endOfConnection(start, { kind: 'cut', afterBytes: 100_000 })).toBe('end')
    expect(await endOfConnection(start, { kind: 'reset', afterBytes: 100_000 })).toBe('ECONNRESET')
    expect(await endOfConnection(start, { kind: 'cut' })).toBe('end')
    expect(await endOfConnection(start, { kind: 'reset' })).toBe('ECONNRESET')
  })

  test('hang is silent before the headers or after so many bytes', async () => {
    const [before] = await getWith({ kind: 'hang' }, { signal: AbortSignal.timeout(100) })
    expect(before).toMatchObject({ status: 0, error: { name: 'TimeoutError' } })
    const [after] = await getWith({ kind: 'hang', afterBytes: 1_000 }, { signal: AbortSignal.timeout(100) })
    expect(after).toMatchObject({ status: 200, bytes: 1_000, error: { name: 'TimeoutError' } })
  })

  test('corrupt changes one byte', async () => {
    const [wrong] = await getWith({ kind: 'corrupt', offset: 70_000 }, { keepBody: true })
    const [right] = await getWith({ kind: 'delay', ms: 1 }, { keepBody: true })
    expect(right.digest).toBe(digest)
    const different = [...wrong.body!.keys()].filter((at) => wrong.body![at] !== right.body![at])
    expect(different).toEqual([70_000])
  })

  test('longer and shorter change the length', async () => {
    const [longer] = await getWith({ kind: 'longer', bytes: 5 })
    expect(longer).toMatchObject({ bytes: sizeBytes + 5, headers: { 'content-length': String(sizeBytes + 5) } })
    const [shorter] = await getWith({ kind: 'shorter', bytes: 5 })
    expect(shorter).toMatchObject({ bytes: sizeBytes - 5, headers: { 'content-length': String(sizeBytes - 5) } })
  })

  test('longer need not announce what it sends more', async () => {
    const [chunked] = await getWith({ kind: 'longer', bytes: 5, announced: 'chunked' })
    expect(chunked).toMatchObject({ bytes: sizeBytes + 5, headers: { 'transfer-encoding': 'chunked' } })
    const [, { requests }] = await getWith({ kind: 'longer', bytes: 5, announced: false })
    expect(requests.all[0]).toMatchObject({ bytesSent: sizeBytes + 5 })
  })

  test('drip sends everything, a little at a time', async () => {
    const [whole] = await getWith({ kind: 'drip', bytes: 100_000, everyMs: 1 })
    expect(whole).toMatchObject({ status: 200, digest })
    const slow = { kind: 'drip', bytes: 1_000, everyMs: 60_000 } as const
    const [first] = await getWith(slow, { signal: AbortSignal.timeout(100) })
    expect(first).toMatchObject({ status: 200, bytes: 1_000, error: { name: 'TimeoutError' } })
  })

  test('ignoreRange sends the whole with 200', async () => {
    const [result] = await getWith({ kind: 'ignoreRange' }, { range: 'bytes=10-' })
    expect(result).toMatchObject({ status: 200, digest })
  })

  test('noContentLength sends chunked', async () => {
    const [result] = await getWith({ kind: 'noContentLength' })
    expect(result).toMatchObject({ digest, headers: { 'transfer-encoding': 'chunked' } })
    expect(result.headers['content-length']).toBeUndefined()
  })

  test('status answers something else', async () => {
    const [result] = await getWith({ kind: 'status', status: 429, headers: { 'Retry-After': '7' }, body: 'slow down' })
    expect(result).toMatchObject({ status: 429, bytes: 9, headers: { 'retry-after': '7' } })
  })
})

async function startProxyOfRegistry(options: TrafficOptions): Promise<RecordedServer> {
  const registry = await startRegistry()
  const proxy = await startCountingProxy({ target: registry.url, ...options })
  const disposeProxy = proxy[Symbol.asyncDispose].bind(proxy)
  proxy[Symbol.asyncDispose] = async () => {
    await disposeProxy()
    await registry[Symbol.asyncDispose]()
  }
  return proxy
}

/** How a plain TCP client sees a connection end: by 'end' (FIN) or with an error code. */
async function endOfConnection(
  start: (options: TrafficOptions) => Promise<RecordedServer>,
  fault: Fault,
): Promise<string> {
  await using server = await start({ fault: () => fault })
  const { hostname, port } = new URL(server.url)
  const socket = connect(Number(port), hostname)
  socket.write(`GET ${blobPath} HTTP/1.1\r\nHost: ${hostname}\r\n\r\n`)
  socket.resume()
  return await once(socket, 'end').then(
    () => 'end',
    (error: NodeJS.ErrnoException) => error.code ?? error.message,
  )
}
