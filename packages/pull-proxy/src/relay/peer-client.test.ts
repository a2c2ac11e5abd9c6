import { readFile } from 'node:fs/promises'
import {
  createLayer,
  httpGet,
  type Layer,
  startRegistryServer,
  temporaryFolder,
  type TemporaryFolder,
  waitFor,
} from '@layerlock/test-support'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { startNode, type TestNode } from '../flight/node.testbed.ts'
import { startHttpServer } from '../http-server.testbed.ts'
import { type Digest, parseDigest } from '../oci/digest.ts'
import { parseRepository } from '../oci/repository.ts'
import { createRegistryClient } from '../upstream/registry-client.testbed.ts'
import { PeerClient } from './peer-client.ts'

const sizeBytes = 300 * 1024
const token = 'cluster-secret'
const { signal } = new AbortController()
let stack: AsyncDisposableStack
let folder: TemporaryFolder
let layer: Layer
let bytes: Buffer
let digest: Digest
let node: TestNode
let client: PeerClient

beforeEach(async () => {
  stack = new AsyncDisposableStack()
  folder = stack.use(await temporaryFolder('relay'))
  layer = await createLayer({ folder: folder.path, sizeBytes, seed: 'relay' })
  digest = parseDigest(layer.digest)
  bytes = await readFile(layer.path)
  node = stack.use(await startNode({ name: 'node-a', folder: folder.path, token }))
  client = stack.use(createClient(token))
})

afterEach(async () => {
  await stack.disposeAsync()
})

function createClient(of: string | undefined): PeerClient {
  return new PeerClient({ token: of, connectTimeoutMs: 1_000, idleTimeoutMs: 1_000 })
}

async function store(): Promise<void> {
  const ingest = await node.store.ingest(digest)
  await ingest.append(bytes)
  await ingest.commit()
  await ingest.release()
}

const open = (offset = 0, from = client) => from.open(node.peer, digest, { offset, signal })
const readAll = async ({ body }: Awaited<ReturnType<typeof open>>) => Buffer.concat((await body.toArray()) as Buffer[])
const peerGet = (path: string, headers: Record<string, string> = { authorization: `Bearer ${token}` }) =>
  httpGet(`${node.peer.endpoint}/peer/v1/blobs/${path}`, { headers, keepBody: true })

describe('the peer API', () => {
  test('serves what is in the store, whole and from an offset on', async () => {
    await store()
    const whole = await open()
    expect(whole.size).toBe(sizeBytes)
    expect((await readAll(whole)).equals(bytes)).toBe(true)
    const rest = await open(sizeBytes - 10)
    expect(rest.size).toBe(sizeBytes)
    expect((await readAll(rest)).equals(bytes.subarray(sizeBytes - 10))).toBe(true)
    await waitFor(() => node.stats.bytes.relayed === sizeBytes + 10, { what: 'the bytes to be counted' })
  })

  test('serves what is still arriving, while it does', async () => {
    await using registry = await startRegistryServer({ fault: () => ({ kind: 'hang', afterBytes: 200_000 }) })
    registry.contents.addBlob('library/app', { ...layer, mediaType: 'application/octet-stream' })
    await using upstream = createRegistryClient(registry.url)
    const request = { upstream, repository: parseRepository('library/app'), kind: 'blobs' as const }
    const { content } = await node.flights.open(digest, request)
    const { size, body } = await open()
    expect(size).toBe(sizeBytes)
    let received = 0
    for await (const chunk of body as AsyncIterable<Buffer>) {
      received += chunk.length
      if (received >= 200_000) break
    }
    expect(received).toBe(200_000)
    await content[Symbol.asyncDispose]()
    await node.stop()
  })

  test('has 404 for what is neither stored nor on its way', async () => {
    await expect(open()).rejects.toMatchObject({ name: 'PeerError', fault: 'absent' })
  })

  test('wants the token of the cluster', async () => {
    await store()
    for (const wrong of [undefined, 'other', `${token}x`]) {
      await using stranger = createClient(wrong)
      await expect(open(0, stranger)).rejects.toMatchObject({ fault: 'unreachable' })
    }
    expect(await peerGet(digest, {})).toMatchObject({ status: 401 })
    expect(await peerGet(digest, { authorization: `bearer  ${token}` })).toMatchObject({ status: 200 })
  })

  test.each(['sha256:123', `sha256:${'X'.repeat(64)}`, 'latest', 'a'.repeat(190)])(
    'refuses the digest %s',
    async (text) => {
      const { status, body } = await peerGet(text)
      expect(status).toBe(400)
      expect(String(body)).toContain('DIGEST_INVALID')
    },
  )

  test('has 416 beyond the end', async () => {
    await store()
    await expect(open(sizeBytes)).rejects.toMatchObject({ fault: 'unreachable' })
  })
})

describe('open()', () => {
  test('finds a peer unreachable that is not there', async () => {
    const gone = { node: 'gone', endpoint: 'http://127.0.0.1:1' }
    await expect(client.open(gone, digest, { offset: 0, signal })).rejects.toMatchObject({ fault: 'unreachable' })
  })

  test.each([
    ['another range than asked for', 5, 206, { 'content-range': 'bytes 4-9/10', 'content-length': '6' }],
    ['a part that ends too early', 5, 206, { 'content-range': 'bytes 5-8/10', 'content-length': '4' }],
    ['a range of an unknown size', 5, 206, { 'content-range': 'bytes 5-9/*', 'content-length': '5' }],
    ['the whole for a range', 5, 200, { 'content-length': '10' }],
    ['no length', 0, 200, {}],
    ['an error', 0, 500, { 'content-length': '0' }],
  ])('takes nothing from a peer that answers %s', async (_, offset, status, headers) => {
    await using server = await startHttpServer((_request, response) => {
      response.writeHead(status, headers)
      response.flushHeaders()
    })
    const peer = { node: 'odd', endpoint: server.url }
    await expect(client.open(peer, digest, { offset, signal })).rejects.toMatchObject({ fault: 'unreachable' })
  })
})

test('a blamed peer is blamed for this blob only', () => {
  const other = parseDigest(`sha256:${'0'.repeat(64)}`)
  client.blame(node.peer, digest)
  expect(client.isBlamed(node.peer, digest)).toBe(true)
  expect(client.isBlamed(node.peer, other)).toBe(false)
  expect(client.isBlamed({ node: 'b', endpoint: 'http://b' }, digest)).toBe(false)
})
