import { temporaryFolder, type TlsOptions } from '@layerlock/test-support'
import { beforeAll, expect, test } from 'vitest'
import { startHttpServer } from '../http-server.testbed.ts'
import { failureOf } from '../failure-of.testbed.ts'
import { createAuthority } from './certificate-authority.testbed.ts'
import type { Environment } from './environment-proxy.ts'
import { type ForwardProxy, type ForwardProxyOptions, startForwardProxy } from './forward-proxy.testbed.ts'
import { HttpExchange, type HttpExchangeOptions, readAll } from './http-exchange.ts'
import { startHttpsServer, type TestHttpsServer } from './https-server.testbed.ts'

const timeouts = { connectMs: 2_000, headersMs: 2_000, idleMs: 2_000 }
const { signal } = new AbortController()

let certificates: { readonly ca: string; readonly server: TlsOptions; readonly client: TlsOptions }

beforeAll(async () => {
  await using folder = await temporaryFolder('exchange-proxy')
  const authority = await createAuthority(folder.path)
  const [server, client] = [await authority.issue('registry.example'), await authority.issue('node-a')]
  certificates = { ca: authority.cert, server, client }
})

test('an https upstream is reached through a tunnel, with its own certificates and ours', async () => {
  await using bed = await startBed()
  const url = 'https://registry.example/v2/?a=b'
  expect(await get(url, { environment: bed.environment, tls: bed.tls })).toBe('for node-a')
  expect(bed.proxy.requests).toEqual([
    { method: 'CONNECT', target: 'registry.example:443', proxyAuthorization: 'Basic dXNlcjpwQHNz' },
  ])
  expect(bed.server.requests.map(({ url: path, headers }) => [path, headers['proxy-authorization']])).toEqual([
    ['/v2/?a=b', undefined],
  ])
  const untrusted = { environment: bed.environment, tls: { ...bed.tls, ca: undefined } }
  await expect(get(url, untrusted)).rejects.toThrow('registry.example gives no answer through the proxy 127.0.0.1:')
  expect(bed.server.requests.length).toBe(1)
})

test('requests one after the other share tunnels', async () => {
  await using bed = await startBed()
  await using exchange = new HttpExchange({ timeouts, environment: bed.environment, tls: bed.tls })
  const request = { method: 'GET', url: new URL('https://registry.example/'), headers: {}, signal } as const
  for (let i = 0; i < 6; i++) await readAll(await exchange.send(request), 100)
  expect(bed.server.requests.length).toBe(6)
  // The first one's may not be free again in the moment when its body ends.
  expect(bed.proxy.requests.length).toBeLessThanOrEqual(2)
})

test('NO_PROXY leads past the proxy', async () => {
  await using bed = await startBed()
  const environment = { ...bed.environment, NO_PROXY: 'registry.example' }
  await expect(get('https://registry.example/', { environment, tls: bed.tls })).rejects.not.toThrow('proxy')
  expect(bed.proxy.requests).toEqual([])
})

test('what is on this machine is reached without the proxy', async () => {
  await using bed = await startBed()
  await using plain = await startHttpServer((_request, response) => response.end('direct'))
  expect(await get(plain.url, { environment: bed.environment })).toBe('direct')
  expect(bed.proxy.requests).toEqual([])
})

test('a plain upstream is asked for by the proxy itself, by the whole URL', async () => {
  await using plain = await startHttpServer((_request, response) => response.end('plain'))
  await using proxy = await startForwardProxy({
    routes: { 'registry.example:5000': plain.url.slice('http://'.length) },
  })
  const environment = { HTTP_PROXY: `http://${proxy.host}` }
  expect(await get('http://registry.example:5000/v2/?a=b', { environment })).toBe('plain')
  expect(proxy.requests).toEqual([
    { method: 'GET', target: 'http://registry.example:5000/v2/?a=b', proxyAuthorization: undefined },
  ])
  expect(plain.requests[0]!.headers.host).toBe('registry.example:5000')
})

test('a redirect chooses its own way: to storage on this machine not by the proxy', async () => {
  await using storage = await startHttpServer((_request, response) => response.end('content'))
  await using plain = await startHttpServer((_request, response) =>
    response.writeHead(307, { location: `${storage.url}/blob` }).end(),
  )
  await using proxy = await startForwardProxy({ routes: { 'registry.example': plain.url.slice('http://'.length) } })
  expect(await get('http://registry.example/', { environment: { HTTP_PROXY: proxy.host } })).toBe('content')
  expect(proxy.requests.length).toBe(1)
  expect(storage.requests.length).toBe(1)
})

test.each(['refuse', 'hang'] as const)('a proxy that makes no tunnel (%s) is told by host only', async (tunnels) => {
  await using bed = await startBed({ tunnels })
  const options = { environment: bed.environment, tls: bed.tls, timeouts: { ...timeouts, connectMs: 100 } }
  const failure = await failureOf(get('https://registry.example/?signature=secret', options))
  expect(failure).toMatchObject({ code: 'UNKNOWN' })
  const { message } = failure as Error
  expect(message).toContain(`registry.example gives no answer through the proxy ${bed.proxy.host}: `)
  expect(message).not.toMatch(/p@ss|p%40ss|user|secret/)
})

test('a proxy that is not there is an upstream without an answer', async () => {
  const gone = await startForwardProxy({ routes: {} })
  await gone[Symbol.asyncDispose]()
  const environment = { HTTPS_PROXY: `http://user:secret@${gone.host}` }
  await expect(get('https://registry.example/', { environment })).rejects.toThrow(
    `registry.example gives no answer through the proxy ${gone.host}: connect ECONNREFUSED`,
  )
})

test('the process environment counts where no other is given', async () => {
  await using bed = await startBed()
  const before = process.env['HTTPS_PROXY']
  process.env['HTTPS_PROXY'] = bed.environment['HTTPS_PROXY']
  try {
    expect(await get('https://registry.example/', { tls: bed.tls })).toBe('for node-a')
  } finally {
    if (before === undefined) delete process.env['HTTPS_PROXY']
    else process.env['HTTPS_PROXY'] = before
  }
})

async function get(url: string, options: Partial<HttpExchangeOptions>): Promise<string> {
  await using exchange = new HttpExchange({ timeouts, ...options })
  const response = await exchange.send({ method: 'GET', url: new URL(url), headers: {}, signal })
  return String(await readAll(response, 100))
}

interface Bed extends AsyncDisposable {
  readonly server: TestHttpsServer
  readonly proxy: ForwardProxy
  readonly environment: Environment
  readonly tls: { readonly ca: string; readonly key: string; readonly cert: string }
}

/** An upstream `registry.example` that wants a client certificate, and a proxy that wants a password. */
async function startBed(options: Partial<ForwardProxyOptions> = {}): Promise<Bed> {
  await using parts = new AsyncDisposableStack()
  const { ca, server: certificate, client } = certificates
  const wanting = { ...certificate, ca, requestCert: true, rejectUnauthorized: true }
  const server = parts.use(
    await startHttpsServer(wanting, (_request, response) => response.end(`for ${server.clients.at(-1)}`)),
  )
  const routes = { 'registry.example:443': `127.0.0.1:${server.port}` }
  const proxy = parts.use(await startForwardProxy({ routes, ...options }))
  const moved = parts.move()
  return {
    server,
    proxy,
    environment: { HTTPS_PROXY: `http://user:p%40ss@${proxy.host}` },
    tls: { ...client, ca },
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  }
}
