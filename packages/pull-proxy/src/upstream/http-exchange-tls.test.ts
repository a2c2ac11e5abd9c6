import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { temporaryFolder } from '@layerlock/test-support'
import { expect, test } from 'vitest'
import { createAuthority } from './certificate-authority.testbed.ts'
import { startHttpsServer } from './https-server.testbed.ts'
import { HttpExchange, readAll } from './http-exchange.ts'
import type { UpstreamTls } from './upstream-options.ts'

const timeouts = { connectMs: 2_000, headersMs: 2_000, idleMs: 2_000 }
const { signal } = new AbortController()

async function get(url: string, tls: UpstreamTls | undefined): Promise<string> {
  await using exchange = new HttpExchange({ timeouts, tls })
  return String(await readAll(await exchange.send({ method: 'GET', url: new URL(url), headers: {}, signal }), 100))
}

test('an upstream with a certificate of another authority is reached only with that authority', async () => {
  await using folder = await temporaryFolder('exchange-tls')
  const [authority, other] = await Promise.all([createAuthority(folder.path), createOther(folder.path)])
  const certificate = await authority.issue('127.0.0.1')
  await using server = await startHttpsServer(certificate, (_request, response) => response.end('x'))
  expect(await get(server.url, { ca: authority.cert })).toBe('x')
  for (const tls of [undefined, {}, { ca: other.cert }, { insecure: false }]) {
    await expect(get(server.url, tls)).rejects.toMatchObject({ code: 'UNKNOWN' })
  }
  expect(server.requests.length).toBe(1)
  expect(await get(server.url, { insecure: true })).toBe('x')
})

test('the authority that is named comes to those that Node trusts anyway', async () => {
  await using folder = await temporaryFolder('exchange-tls')
  const [authority, other] = await Promise.all([createAuthority(folder.path), createOther(folder.path)])
  await using server = await startHttpsServer(await authority.issue('127.0.0.1'), (_request, response) =>
    response.end('x'),
  )
  const trusted = getCACertificates('default')
  setDefaultCACertificates([...trusted, authority.cert])
  try {
    expect(await get(server.url, { ca: other.cert })).toBe('x')
  } finally {
    setDefaultCACertificates(trusted)
  }
})

test('a certificate for another name is refused, whoever has signed it', async () => {
  await using folder = await temporaryFolder('exchange-tls')
  const authority = await createAuthority(folder.path)
  const certificate = await authority.issue('registry.example')
  await using server = await startHttpsServer(certificate, (_request, response) => response.end('x'))
  await expect(get(server.url, { ca: authority.cert })).rejects.toThrow('altnames')
})

test('an upstream that wants a client certificate is shown one', async () => {
  await using folder = await temporaryFolder('exchange-tls')
  const authority = await createAuthority(folder.path)
  const [certificate, mine] = [await authority.issue('127.0.0.1'), await authority.issue('node-a')]
  const wanting = { ...certificate, ca: authority.cert, requestCert: true, rejectUnauthorized: true }
  await using server = await startHttpsServer(wanting, (_request, response) => response.end('x'))
  expect(await get(server.url, { ...mine, ca: authority.cert })).toBe('x')
  expect(server.clients).toEqual(['node-a'])
  await expect(get(server.url, { ca: authority.cert })).rejects.toMatchObject({ code: 'UNKNOWN' })
})

test('upstream is spoken to by HTTP/1.1, so that each layer has a connection of its own', async () => {
  await using folder = await temporaryFolder('exchange-tls')
  const authority = await createAuthority(folder.path)
  const willing = { ...(await authority.issue('127.0.0.1')), ALPNProtocols: ['h2', 'http/1.1'] }
  await using server = await startHttpsServer(willing, (_request, response) => response.end('x'))
  await get(server.url, { ca: authority.cert })
  expect(server.requests[0]!.httpVersion).toBe('1.1')
})

test('certificates that are none are refused at once', () => {
  expect(() => new HttpExchange({ timeouts, tls: { cert: 'x', key: 'x' } })).toThrow('PEM')
})

async function createOther(folder: string) {
  await using own = await temporaryFolder(folder.replaceAll('/', '-'))
  return await createAuthority(own.path)
}
