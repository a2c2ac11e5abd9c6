import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { request } from 'node:https'
import { join } from 'node:path'
import { connect, type SecureVersion, type TLSSocket } from 'node:tls'
import { createCertificate, type SelfSignedCertificate, temporaryFolder } from '@layerlock/test-support'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { LockServer, type LockServerOptions } from '../lock-server.ts'
import { MemoryLockStore } from '../store/memory-lock-store.ts'

let first: SelfSignedCertificate
let second: SelfSignedCertificate
const cleanup = new AsyncDisposableStack()

beforeAll(async () => {
  const folder = cleanup.use(await temporaryFolder('tls'))
  await mkdir(join(folder.path, 'second'))
  first = await createCertificate(folder.path)
  second = await createCertificate(join(folder.path, 'second'))
})

afterAll(async () => {
  await cleanup.disposeAsync()
})

function start(options: Partial<LockServerOptions> = {}): Promise<LockServer> {
  return LockServer.start({ host: '127.0.0.1', port: 0, store: new MemoryLockStore(), ...options })
}

/** The status of a call by somebody who trusts this certificate only, or why there is none. */
async function statusOf({ url }: LockServer, { cert }: SelfSignedCertificate): Promise<number | string | undefined> {
  const sent = request(`${url}/healthz`, { ca: cert, agent: false })
  sent.end()
  return new Promise((resolve) => {
    sent.on('error', (error: NodeJS.ErrnoException) => resolve(error.code))
    sent.on('response', (response) => {
      response.resume()
      resolve(response.statusCode)
    })
  })
}

async function connectWith(
  { url }: LockServer,
  minVersion: SecureVersion,
  maxVersion: SecureVersion,
): Promise<TLSSocket> {
  const { hostname, port } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port), ca: first.cert, minVersion, maxVersion })
  await once(socket, 'secureConnect')
  return socket
}

test('a lock server with a certificate speaks https', async () => {
  await using server = await start({ tls: first })
  expect(server.url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/)
  expect(await statusOf(server, first)).toBe(200)
  expect(await statusOf(server, second)).toMatch(/SELF_SIGNED|SIGNATURE/)
})

test('a lock server with a certificate speaks TLS 1.2 and 1.3, nothing older', async () => {
  await using server = await start({ tls: first })
  const secure = [await connectWith(server, 'TLSv1.2', 'TLSv1.2'), await connectWith(server, 'TLSv1.3', 'TLSv1.3')]
  expect(secure.map((socket) => socket.getProtocol())).toEqual(['TLSv1.2', 'TLSv1.3'])
  for (const socket of secure) socket.destroy()
  await expect(connectWith(server, 'TLSv1', 'TLSv1.1')).rejects.toThrow(/alert|version|protocol/i)
})

test('a lock server shows another certificate from the next connection on', async () => {
  await using server = await start({ tls: first })
  server.replaceTls(second)
  expect(await statusOf(server, second)).toBe(200)
  expect(await statusOf(server, first)).toMatch(/SELF_SIGNED|SIGNATURE/)
})

test('a lock server keeps its certificate when another one is no good', async () => {
  await using server = await start({ tls: first })
  expect(() => server.replaceTls({ cert: second.cert, key: first.key })).toThrow(/key values mismatch/)
  expect(() => server.replaceTls({ cert: 'nonsense', key: first.key })).toThrow(/PEM|no start line/i)
  expect(await statusOf(server, first)).toBe(200)
})

test('a lock server without a certificate cannot be given one later', async () => {
  await using server = await start()
  expect(() => server.replaceTls(first)).toThrow('started without TLS')
})

test('a lock server does not start with a key that is another one’s', async () => {
  await expect(start({ tls: { cert: first.cert, key: second.key } })).rejects.toThrow(/key values mismatch/)
})
