import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { request, type RequestOptions } from 'node:https'
import { connect as connectPlain } from 'node:net'
import { join } from 'node:path'
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls'
import { createCertificate, type SelfSignedCertificate, temporaryFolder } from '@layerlock/test-support'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestFace, type TestFace } from './client-face.testbed.ts'

let first: SelfSignedCertificate
let second: SelfSignedCertificate
/** Clients' certificates, which sign themselves. */
let member: SelfSignedCertificate
let stranger: SelfSignedCertificate
const cleanup = new AsyncDisposableStack()

beforeAll(async () => {
  const folder = cleanup.use(await temporaryFolder('tls'))
  const make = async (name: string) => {
    await mkdir(join(folder.path, name))
    return createCertificate(join(folder.path, name))
  }
  first = await make('first')
  second = await make('second')
  member = await make('member')
  stranger = await make('stranger')
})

afterAll(async () => {
  await cleanup.disposeAsync()
})

interface Answer {
  readonly status: number
  readonly keepAlive: string
}

/** The answer to a client, or why there is none. */
async function ask({ url }: TestFace, options: RequestOptions): Promise<Answer | string> {
  const sent = request(`${url}/v2/`, { agent: false, ...options })
  sent.end()
  return new Promise((resolve) => {
    sent.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    sent.on('response', (response) => {
      response.resume()
      resolve({ status: response.statusCode ?? 0, keepAlive: String(response.headers['keep-alive']) })
    })
  })
}

/** The status, or why there is none. */
async function statusOf(face: TestFace, trusted: SelfSignedCertificate, own?: SelfSignedCertificate) {
  const answer = await ask(face, { ca: trusted.cert, ...(own === undefined ? {} : { cert: own.cert, key: own.key }) })
  return typeof answer === 'string' ? answer : answer.status
}

async function connectTo({ url }: TestFace, options: ConnectionOptions): Promise<TLSSocket> {
  const { hostname, port } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port), ca: first.cert, ...options })
  await once(socket, 'secureConnect')
  return socket
}

describe('a face with a certificate', () => {
  test('speaks https, and keeps connections for longer than 35 s', async () => {
    await using face = await startTestFace({ tls: first })
    expect(face.url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/)
    const answer = await ask(face, { ca: first.cert, headers: { connection: 'keep-alive' } })
    expect(answer).toEqual({ status: 200, keepAlive: 'timeout=65' })
    expect(await statusOf(face, second)).toMatch(/SELF_SIGNED|SIGNATURE/)
  })

  test('speaks HTTP/1.1 with clients that would rather speak HTTP/2', async () => {
    await using face = await startTestFace({ tls: first })
    const socket = await connectTo(face, { ALPNProtocols: ['h2', 'http/1.1'] })
    expect(socket.alpnProtocol).toBe('http/1.1')
    socket.destroy()
  })

  test('speaks TLS 1.2 and 1.3', async () => {
    await using face = await startTestFace({ tls: first })
    const versions = ['TLSv1.2', 'TLSv1.3'] as const
    const sockets = await Promise.all(
      versions.map((version) => connectTo(face, { minVersion: version, maxVersion: version })),
    )
    expect(sockets.map((socket) => socket.getProtocol())).toEqual([...versions])
    for (const socket of sockets) socket.destroy()
  })

  test('asks users for their passwords as well', async () => {
    const users = ['ann:$2y$04$MDEyMzQ1Njc4OWFiY2RlZe4lIiCaTDIGf4u2ZPZIh4yyQxXAvAoCK']
    await using face = await startTestFace({ tls: first, users })
    expect(await statusOf(face, first)).toBe(401)
  })

  test('lives on after handshakes that fail, and says nothing of them', async () => {
    await using face = await startTestFace({ tls: first })
    const { hostname, port } = new URL(face.url)
    const sayings = ['GET /v2/ HTTP/1.1\r\nhost: x\r\n\r\n', '\x16\x03\x01\x02\x00\x01', 'x'.repeat(100_000), '']
    await Promise.all(
      Array.from({ length: 40 }, async (_, index) => {
        const socket = connectPlain({ host: hostname, port: Number(port) })
        socket.on('error', () => undefined)
        const closed = new Promise((resolve) => socket.on('close', resolve))
        socket.end(sayings[index % sayings.length] ?? '')
        socket.resume()
        await closed
      }),
    )
    expect(await statusOf(face, first)).toBe(200)
    expect(face.logger.lines.filter(({ level }) => !['trace', 'info'].includes(level))).toEqual([])
  })

  test('does not start with a key that is another one’s', async () => {
    await expect(startTestFace({ tls: { cert: first.cert, key: second.key } })).rejects.toThrow(/key values mismatch/)
  })
})

describe('a face that wants certificates of clients', () => {
  test('lets in only those whose certificates are signed', async () => {
    await using face = await startTestFace({ tls: { ...first, clientCa: member.cert } })
    expect(await statusOf(face, first, member)).toBe(200)
    expect(await statusOf(face, first, stranger)).toMatch(/ECONNRESET|SSL|ALERT|EPIPE/)
    expect(await statusOf(face, first)).toMatch(/ECONNRESET|SSL|ALERT|EPIPE/)
    expect(await statusOf(face, first, member)).toBe(200)
  })

  test('takes other signers from the next connection on', async () => {
    await using face = await startTestFace({ tls: { ...first, clientCa: member.cert } })
    expect(await statusOf(face, first, member)).toBe(200)
    face.face.replaceTls({ ...first, clientCa: `${stranger.cert}\n${second.cert}` })
    expect(await statusOf(face, first, stranger)).toBe(200)
    expect(await statusOf(face, first, second)).toBe(200)
    expect(await statusOf(face, first, member)).toMatch(/ECONNRESET|SSL|ALERT|EPIPE/)
  })

  test('does not resume a session of somebody whose signer has gone', async () => {
    await using face = await startTestFace({ tls: { ...first, clientCa: member.cert } })
    const own = { cert: member.cert, key: member.key, maxVersion: 'TLSv1.2' } as const
    const socket = await connectTo(face, own)
    const session = socket.getSession()!
    socket.destroy()
    const again = await connectTo(face, { ...own, session })
    expect(again.isSessionReused()).toBe(true)
    again.destroy()
    face.face.replaceTls({ ...first, clientCa: stranger.cert })
    await expect(connectTo(face, { ...own, session })).rejects.toThrow(/alert|unknown ca|disconnected|ECONNRESET/i)
  })

  test('cannot begin or cease to want them', async () => {
    await using mutual = await startTestFace({ tls: { ...first, clientCa: member.cert } })
    await using single = await startTestFace({ tls: first })
    expect(() => mutual.face.replaceTls(first)).toThrow('settled when the proxy starts')
    expect(() => single.face.replaceTls({ ...first, clientCa: member.cert })).toThrow('settled when the proxy starts')
  })
})

describe('another certificate', () => {
  test('is shown from the next connection on', async () => {
    await using face = await startTestFace({ tls: first })
    face.face.replaceTls(second)
    expect(await statusOf(face, second)).toBe(200)
    expect(await statusOf(face, first)).toMatch(/SELF_SIGNED|SIGNATURE/)
  })

  test('that is no good changes nothing', async () => {
    await using face = await startTestFace({ tls: first })
    expect(() => face.face.replaceTls({ cert: second.cert, key: first.key })).toThrow(/key values mismatch/)
    expect(() => face.face.replaceTls({ cert: 'nonsense', key: first.key })).toThrow(/PEM|no start line/i)
    expect(await statusOf(face, first)).toBe(200)
  })

  test('cannot be given to a face that was started without', async () => {
    await using face = await startTestFace()
    expect(() => face.face.replaceTls(first)).toThrow('started without TLS')
  })
})
