import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { httpGet, type HttpGetOptions } from '@layerlock/test-support'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { ChunkPool } from '../content/chunk-pool.ts'
import type { Content } from '../content/content-store.ts'
import { digestOf } from '../oci/digest.ts'
import { parseMultipart } from './multipart.testbed.ts'
import { sendContent } from './send-content.ts'

const bytes = randomBytes(3_000_000)
const digest = digestOf(bytes)
const headers = { 'content-type': 'application/octet-stream', etag: '"x"' }

/** Some content that can be read; each read is counted. */
class TestContent implements Content {
  readonly size = bytes.length
  readonly shared: object | undefined
  /** Reads from here on fail. */
  failsAt = Infinity
  /** Reads from here on wait for it. */
  held: { readonly from: number; readonly until: Promise<void> } | undefined
  reads = 0

  constructor(shared: object | undefined) {
    this.shared = shared
  }

  async read(target: Uint8Array, position: number, signal?: AbortSignal): Promise<number> {
    this.reads++
    if (this.held !== undefined && position + target.length > this.held.from) {
      await Promise.race([this.held.until, ...(signal === undefined ? [] : [once(signal, 'abort')])])
      signal?.throwIfAborted()
    }
    if (position >= this.failsAt) throw new Error('the disk is gone')
    return bytes.copy(target, 0, position, Math.min(this.failsAt, position + target.length))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve()
  }
}

let pool: ChunkPool
let content: TestContent
let server: Server
let url: string
let sent: number
let responses: ServerResponse[]
/** Of each response: settles when nothing more is done for it. */
let served: Promise<void>[]

beforeEach(async () => {
  pool = new ChunkPool({ chunkBytes: 300_000, maxChunks: 4 })
  content = new TestContent({})
  sent = 0
  responses = []
  served = []
  const onSent = (count: number) => void (sent += count)
  server = createServer((_request, response: ServerResponse) => {
    responses.push(response)
    served.push(sendContent({ response, content, headers, onSent, pool }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
})

afterEach(async () => {
  server.closeAllConnections()
  server.close()
  await once(server, 'close')
})

const get = (options: HttpGetOptions = {}) => httpGet(url, { keepBody: true, ...options })

/** A client that reads nothing until it is told to. */
async function lazyClient(): Promise<Socket> {
  const socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1' })
  socket.pause()
  socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
  await once(socket, 'connect')
  return socket
}

async function bodyOf(socket: Socket): Promise<Buffer> {
  const all = await buffer(socket)
  return all.subarray(all.indexOf('\r\n\r\n') + 4)
}

describe.each([
  ['stored content', () => new TestContent({})],
  ['content that still arrives', () => new TestContent(undefined)],
])('%s', (_what, create) => {
  beforeEach(() => {
    content = create()
  })

  test('is sent whole, and what went out is told', async () => {
    expect(await get()).toMatchObject({ status: 200, digest })
    await Promise.all(served)
    expect(sent).toBe(bytes.length)
    expect(pool.held).toBe(0)
  })

  test('is not read in small pieces because a small range came first', async () => {
    const { status, headers: got, body } = await get({ range: 'bytes=0-0,1000-200999' })
    expect(status).toBe(206)
    const parts = parseMultipart(String(got['content-type']), body!)
    expect(parts.map((part) => part.bytes.length)).toEqual([1, 200_000])
    expect(content.reads).toBeLessThan(20)
  })

  test('is sent to sixteen clients at once', async () => {
    const answers = await Promise.all(Array.from({ length: 16 }, () => get({ keepBody: false })))
    expect(new Set(answers.map((answer) => answer.digest))).toEqual(new Set([digest]))
    await Promise.all(served)
    expect(pool.held).toBe(0)
  })

  test('is sent in several parts, long and short ones', async () => {
    const { status, headers: got, body } = await get({ range: 'bytes=2000000-2999999,5-5,10-1500000' })
    expect(status).toBe(206)
    expect(Number(got['content-length'])).toBe(body!.length)
    const parts = parseMultipart(got['content-type'], body!)
    expect(parts.map((part) => digestOf(part.bytes))).toEqual(
      [bytes.subarray(2_000_000), bytes.subarray(5, 6), bytes.subarray(10, 1_500_001)].map(digestOf),
    )
    await Promise.all(served)
    expect(pool.held).toBe(0)
  })

  test('that fails in mid-body closes the connection plainly, short of Content-Length', async () => {
    content.failsAt = 1_000_000
    const socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1' })
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    // A reset would make this throw.
    const body = await bodyOf(socket)
    expect(body.equals(bytes.subarray(0, body.length))).toBe(true)
    expect(body.length).toBeLessThanOrEqual(1_000_000)
    await Promise.all(served)
    expect(pool.held).toBe(0)
  })

  test('that fails does not fail for who asks later', async () => {
    content.failsAt = 1_000_000
    expect((await get()).error).toBeDefined()
    content.failsAt = Infinity
    expect(await get()).toMatchObject({ status: 200, digest })
  })

  test('reaches clients that begin late', async () => {
    const lazy = await Promise.all(Array.from({ length: 8 }, lazyClient))
    await vi.waitFor(() => expect(served).toHaveLength(8))
    expect(await get()).toMatchObject({ status: 200, digest })
    const bodies = await Promise.all(lazy.map(bodyOf))
    expect(new Set(bodies.map(digestOf))).toEqual(new Set([digest]))
    await Promise.all(served)
    expect(pool.held).toBe(0)
  })
})

describe('clients that do not read', () => {
  /** More than sockets take in before their client reads. */
  const endless = () =>
    Object.assign(new TestContent({}), {
      size: 1_000_000_000,
      read: (target: Uint8Array) => Promise.resolve(target.length),
    })

  test('give all memory back when they leave: what is on its way, and what was read ahead', async () => {
    content = endless()
    const lazy = await lazyClient()
    await vi.waitFor(() => expect({ held: pool.held, isStuck: isStuck() }).toEqual({ held: 2, isStuck: true }))
    lazy.destroy()
    await Promise.all(served)
    expect(pool.held).toBe(0)
  })

  test('hold up nobody, not even when they hold all of the pool', async () => {
    const lazy: Socket[] = []
    for (let index = 0; index < 4; index++) {
      content = endless()
      lazy.push(await lazyClient())
    }
    await vi.waitFor(() => expect({ held: pool.held, isStuck: isStuck() }).toEqual({ held: 4, isStuck: true }))
    content = new TestContent({})
    expect(await get()).toMatchObject({ status: 200, digest })
    for (const socket of lazy) socket.destroy()
    await Promise.all(served)
    expect(pool.held).toBe(0)
  })

  /** Whether the system takes no more bytes of any response. */
  function isStuck(): boolean {
    return responses.length > 0 && responses.every((response) => response.writableLength > 0)
  }
})

test('bytes that are still to come do not hold up the headers', async () => {
  const { promise, resolve } = Promise.withResolvers<void>()
  content = new TestContent(undefined)
  content.held = { from: 0, until: promise }
  const socket = await lazyClient()
  socket.resume()
  const [head] = (await once(socket, 'data')) as [Buffer]
  expect(String(head)).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
  resolve()
  expect(digestOf(await buffer(socket))).toBe(digest)
})

test('a client that leaves while bytes are awaited is forgotten', async () => {
  content = new TestContent(undefined)
  content.held = { from: 0, until: new Promise(() => undefined) }
  const socket = await lazyClient()
  await vi.waitFor(() => expect(content.reads).toBe(1))
  socket.destroy()
  await vi.waitFor(() => expect(served).toHaveLength(1))
  await expect(Promise.all(served)).resolves.toEqual([undefined])
})

test('clients in step share what is read', async () => {
  const { promise, resolve } = Promise.withResolvers<void>()
  content.held = { from: 0, until: promise }
  const answers = Array.from({ length: 8 }, () => get({ keepBody: false }))
  await vi.waitFor(() => expect(served).toHaveLength(8))
  resolve()
  const digests = (await Promise.all(answers)).map((answer) => answer.digest)
  expect(new Set(digests)).toEqual(new Set([digest]))
  // Ten chunks make the whole; a client each would be eighty.
  expect(content.reads).toBeLessThan(40)
})

test('content in memory is sent without a read', async () => {
  content = Object.assign(new TestContent({}), { take: (from: number) => Promise.resolve(bytes.subarray(from)) })
  expect(await get()).toMatchObject({ status: 200, digest })
  const { body } = await get({ range: 'bytes=-3' })
  expect(body?.equals(bytes.subarray(-3))).toBe(true)
  expect(content.reads).toBe(0)
})
