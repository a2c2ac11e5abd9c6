import type { LookupAddress } from 'node:dns'
import type { RequestListener } from 'node:http'
import type { LookupFunction } from 'node:net'
import { temporaryFolder, type TlsOptions } from '@layerlock/test-support'
import { beforeAll, expect, test } from 'vitest'
import { AddressGuard } from './address-guard.ts'
import { createAuthority } from './certificate-authority.testbed.ts'
import { startForwardProxy } from './forward-proxy.testbed.ts'
import { HttpExchange, type HttpExchangeOptions, readAll } from './http-exchange.ts'
import { startHttpsServer, startTrapServer, type TestHttpsServer, type TrapServer } from './https-server.testbed.ts'

const timeouts = { connectMs: 2_000, headersMs: 2_000, idleMs: 2_000 }
const { signal } = new AbortController()
/** Stands for a public address in these tests, which must not leave this machine. */
const PUBLIC = '127.0.0.2'
const PRIVATE = '127.0.0.1'

let certificates: { readonly ca: string; readonly server: TlsOptions }

beforeAll(async () => {
  await using folder = await temporaryFolder('address-guard')
  const authority = await createAuthority(folder.path)
  certificates = { ca: authority.cert, server: await authority.issue('registry.example') }
})

test('a name that changes its address after the first connection gains nothing (DNS rebinding)', async () => {
  await using bed = await startBed((_request, response) => response.setHeader('connection', 'close').end('x'))
  const resolver = resolveTo([PUBLIC], [PRIVATE])
  await using exchange = guarded({ resolve: resolver.resolve })
  expect(await get(exchange, bed.url)).toBe('x')
  // Nobody has asked in between what to connect to.
  expect(resolver.asked).toEqual(['registry.example'])
  await expect(get(exchange, bed.url)).rejects.toMatchObject({
    code: 'DENIED',
    message: 'registry.example has no public address',
  })
  expect(resolver.asked.length).toBe(2)
  expect(bed.trap.caught).toBe(0)
})

test('of several addresses only the public ones are tried', async () => {
  await using bed = await startBed((_request, response) => response.end('x'))
  await using exchange = guarded({ resolve: resolveTo([PRIVATE, PUBLIC, '::1']).resolve })
  expect(await get(exchange, bed.url)).toBe('x')
  expect(bed.trap.caught).toBe(0)
})

test('lookup() answers a question for one address, too', async () => {
  const guard = new AddressGuard({ resolve: resolveTo(['10.0.0.1', '1.1.1.1', '8.8.8.8']).resolve })
  const answer = Promise.withResolvers<unknown>()
  guard.lookup('registry.example', {}, (_error, address, family) => answer.resolve([address, family]))
  expect(await answer.promise).toEqual(['1.1.1.1', 4])
})

test.each(['127.0.0.1', '10.1.2.3', '169.254.169.254', '::1', '::ffff:127.0.0.1', 'fd00::1', '64:ff9b::7f00:1'])(
  'a name that resolves to %s is refused',
  async (address) => {
    await using bed = await startBed((_request, response) => response.end('x'))
    const guard = new AddressGuard({ resolve: resolveTo([address]).resolve })
    await using exchange = new HttpExchange({ timeouts, publicOnly: true, guard, environment: {} })
    await expect(get(exchange, bed.url)).rejects.toMatchObject({ code: 'DENIED' })
    expect(bed.trap.caught).toBe(0)
  },
)

test('a name that does not resolve is an upstream without an answer', async () => {
  const resolve: LookupFunction = (hostname, _options, callback) =>
    callback(Object.assign(new Error(`getaddrinfo ENOTFOUND ${hostname}`), { code: 'ENOTFOUND' }), [])
  await using exchange = guarded({ resolve })
  await expect(get(exchange, 'https://registry.example')).rejects.toMatchObject({
    code: 'UNKNOWN',
    message: 'registry.example gives no answer: getaddrinfo ENOTFOUND registry.example',
  })
})

test.each([
  'https://127.0.0.1',
  'https://127.0.0.1.',
  'https://127.1',
  'https://2130706433',
  'https://0x7f000001',
  'https://0x7f.1',
  'https://0177.0.0.1',
  'https://017700000001',
  'https://0.0.0.0',
  'https://0',
  'https://[::1]',
  'https://[::]',
  'https://[::ffff:127.0.0.1]',
  'https://[::ffff:7f00:1]',
  'https://[::127.0.0.1]',
  'https://[64:ff9b::127.0.0.1]',
  'https://user:password@127.0.0.1',
  'https://ghcr.io@127.0.0.1',
  'https://ghcr.io%40127.0.0.1@127.0.0.1',
  'https://%31%32%37.0.0.1',
  'https://１２７.０.０.１',
  'https://①②⑦.⓪.⓪.①',
  'https://127。0。0。1',
  'https://localhost',
  'https://LOCALHOST',
  'https://localhost.',
  'https://a.localhost',
  'https://ｌｏｃａｌｈｏｓｔ',
  'https://localhost.localdomain',
  'https://metadata.google.internal.',
  'https://registry',
  'http://ghcr.io',
  'http://127.0.0.1',
])('%s is refused without a connection', async (origin) => {
  await using trap = await startTrapServer()
  const never: LookupFunction = () => expect.unreachable('the name was looked up')
  await using exchange = new HttpExchange({
    timeouts,
    publicOnly: true,
    guard: new AddressGuard({ resolve: never }),
    environment: {},
    tls: { insecure: true },
  })
  await expect(get(exchange, `${origin}:${trap.port}/v2/`)).rejects.toMatchObject({ code: 'DENIED' })
  expect(trap.caught).toBe(0)
})

test.each(['https://127.0.0.1', 'https://[::1]', 'https://localhost', 'https://evil.example', 'http://127.0.0.2'])(
  'a redirect of a public registry to %s is refused',
  async (target) => {
    const location = (): string => `${target}:${bed.trap.port}/secrets`
    await using bed = await startBed((_request, response) => response.writeHead(307, { location: location() }).end())
    const names = { 'registry.example': PUBLIC, 'evil.example': PRIVATE }
    const resolve: LookupFunction = (hostname, _options, callback) =>
      callback(null, [{ address: names[hostname as keyof typeof names], family: 4 }])
    await using exchange = guarded({ resolve }, { tls: { insecure: true } })
    await expect(get(exchange, bed.url)).rejects.toMatchObject({ code: 'DENIED' })
    expect(bed.server.requests.length).toBe(1)
    expect(bed.trap.caught).toBe(0)
  },
)

test('behind an HTTP proxy, which resolves names itself, literal addresses and local names are refused', async () => {
  await using bed = await startBed((_request, response) => response.end('x'))
  const routes = { [`registry.example:${bed.server.port}`]: `${PUBLIC}:${bed.server.port}` }
  await using proxy = await startForwardProxy({ routes })
  const never: LookupFunction = () => expect.unreachable('the name was looked up')
  await using exchange = guarded({ resolve: never }, { environment: { HTTPS_PROXY: proxy.host } })
  for (const origin of ['https://169.254.169.254', 'https://10.0.0.1', 'https://vault', 'https://vault.internal']) {
    await expect(get(exchange, origin)).rejects.toMatchObject({ code: 'DENIED' })
  }
  expect(proxy.requests).toEqual([])
  expect(await get(exchange, bed.url)).toBe('x')
})

async function get(exchange: HttpExchange, url: string): Promise<string> {
  return String(await readAll(await exchange.send({ method: 'GET', url: new URL(url), headers: {}, signal }), 100))
}

/** An exchange for which the one address is public, and trusts the registry's certificate. */
function guarded(guard: { resolve: LookupFunction }, options: Partial<HttpExchangeOptions> = {}): HttpExchange {
  const isPublic = (address: string): boolean => address === PUBLIC
  return new HttpExchange({
    timeouts,
    tls: { ca: certificates.ca },
    publicOnly: true,
    guard: new AddressGuard({ ...guard, isPublic }),
    environment: {},
    ...options,
  })
}

/** A resolver that gives these addresses one after the other, the last ones for ever. */
function resolveTo(...answers: readonly string[][]): { resolve: LookupFunction; asked: readonly string[] } {
  const asked: string[] = []
  const resolve: LookupFunction = (hostname, _options, callback) => {
    const addresses = answers[Math.min(asked.length, answers.length - 1)]!
    asked.push(hostname)
    const found: LookupAddress[] = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
    process.nextTick(callback, null, found)
  }
  return { resolve, asked }
}

interface Bed extends AsyncDisposable {
  readonly url: string
  readonly server: TestHttpsServer
  /** On the private address, at the same port. */
  readonly trap: TrapServer
}

async function startBed(listener: RequestListener): Promise<Bed> {
  await using parts = new AsyncDisposableStack()
  const server = parts.use(await startHttpsServer(certificates.server, listener, PUBLIC))
  const trap = parts.use(await startTrapServer(server.port))
  const moved = parts.move()
  return {
    url: `https://registry.example:${server.port}/v2/`,
    server,
    trap,
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  }
}
