import type { Socket } from 'node:net'
import { temporaryFolder, waitFor } from '@layerlock/test-support'
import { expect, test } from 'vitest'
import { failureOf } from '../failure-of.testbed.ts'
import { startHttpServer } from '../http-server.testbed.ts'
import { createAuthority } from './certificate-authority.testbed.ts'
import { discard, HttpExchange, readAll } from './http-exchange.ts'
import { startHttpsServer } from './https-server.testbed.ts'

const timeouts = { connectMs: 1_000, headersMs: 1_000, idleMs: 1_000 }
const { signal } = new AbortController()
const headers = {
  authorization: 'Bearer secret',
  cookie: 'secret',
  'proxy-authorization': 'secret',
  'x-registry-token': 'secret',
  accept: 'application/json',
  range: 'bytes=5-',
}

test('another port is another host: it is told what content is wanted, and nothing else', async () => {
  await using storage = await startHttpServer((_request, response) => response.end('x'))
  await using registry = await startHttpServer((_request, response) =>
    response
      .writeHead(307, { location: `${storage.url.replace('//', '//user:password@')}/blob?signature=1#part` })
      .end(),
  )
  await using exchange = new HttpExchange({ timeouts })
  const response = await exchange.send({ method: 'GET', url: new URL(registry.url), headers, signal })
  expect(await readAll(response, 100)).toEqual(Buffer.from('x'))
  expect(response.url.href).toBe(`${storage.url}/blob?signature=1`)
  const { url, headers: sent } = storage.requests[0]!
  expect(url).toBe('/blob?signature=1')
  expect(sent).toMatchObject({ accept: 'application/json', range: 'bytes=5-', 'accept-encoding': 'identity' })
  expect(Object.keys(sent).toSorted()).toEqual([
    'accept',
    'accept-encoding',
    'connection',
    'host',
    'range',
    'user-agent',
  ])
  expect(registry.requests[0]!.headers).toMatchObject({ authorization: 'Bearer secret', range: 'bytes=5-' })
})

test('a relative redirect keeps the headers, also when it is the second', async () => {
  await using registry = await startHttpServer(({ url }, response) => {
    if (url === '/a/b') response.writeHead(302, { location: 'c' }).end()
    else if (url === '/a/c') response.writeHead(308, { location: '/d?e=f' }).end()
    else response.end('x')
  })
  await using exchange = new HttpExchange({ timeouts })
  const response = await exchange.send({ method: 'GET', url: new URL(`${registry.url}/a/b`), headers, signal })
  await readAll(response, 100)
  expect(registry.requests.map(({ url }) => url)).toEqual(['/a/b', '/a/c', '/d?e=f'])
  expect(registry.requests[2]!.headers).toMatchObject({ authorization: 'Bearer secret', range: 'bytes=5-' })
})

test('credentials do not come back by a detour over another host', async () => {
  await using registry = await startHttpServer(({ url }, response) => {
    if (url === '/start') response.writeHead(307, { location: `${detour.url}/` }).end()
    else response.end('x')
  })
  await using detour = await startHttpServer((_request, response) =>
    response.writeHead(307, { location: `${registry.url}/end` }).end(),
  )
  await using exchange = new HttpExchange({ timeouts })
  await readAll(await exchange.send({ method: 'GET', url: new URL(`${registry.url}/start`), headers, signal }), 100)
  expect(registry.requests.map((request) => request.headers.authorization)).toEqual(['Bearer secret', undefined])
})

test('redirects from https to http are followed only when upstream is named insecure', async () => {
  await using folder = await temporaryFolder('exchange-redirect')
  const authority = await createAuthority(folder.path)
  await using plain = await startHttpServer((_request, response) => response.end('x'))
  await using registry = await startHttpsServer(await authority.issue('127.0.0.1'), (_request, response) =>
    response.writeHead(307, { location: plain.url }).end(),
  )
  const request = { method: 'GET', url: new URL(registry.url), headers, signal } as const
  await using strict = new HttpExchange({ timeouts, tls: { ca: authority.cert } })
  await expect(strict.send(request)).rejects.toThrow('redirects from https to http')
  expect(plain.requests).toEqual([])
  await using insecure = new HttpExchange({ timeouts, tls: { insecure: true } })
  expect(String(await readAll(await insecure.send(request), 100))).toBe('x')
  expect(plain.requests[0]!.headers.authorization).toBeUndefined()
})

test.each(['ftp://127.0.0.1/x', 'file:///etc/passwd', 'http://', 'javascript:1'])(
  'a redirect to %s is refused',
  async (location) => {
    await using registry = await startHttpServer((_request, response) => response.writeHead(302, { location }).end())
    await using exchange = new HttpExchange({ timeouts })
    const sending = exchange.send({ method: 'GET', url: new URL(registry.url), headers, signal })
    await expect(sending).rejects.toThrow('redirects to something that is no http URL')
  },
)

test('a circle of redirects ends at its first repetition, a long way after five', async () => {
  await using registry = await startHttpServer(({ url }, response) => {
    const [, kind, step] = url!.split(/[/?]/) as [string, string, string]
    const next = kind === 'circle' ? (Number(step) + 1) % 2 : Number(step) + 1
    response.writeHead(302, { location: `/${kind}/${next}?signature=secret` }).end()
  })
  await using exchange = new HttpExchange({ timeouts })
  const follow = (kind: string) =>
    failureOf(
      exchange.send({ method: 'GET', url: new URL(`${registry.url}/${kind}/0?signature=secret`), headers, signal }),
    )
  expect(await follow('circle')).toMatchObject({ message: expect.stringMatching(/redirects in a circle$/) })
  expect(registry.requests.length).toBe(2)
  expect(await follow('long')).toMatchObject({ message: expect.stringMatching(/redirects more than 5 times$/) })
  expect(registry.requests.length).toBe(2 + 6)
})

test('a redirect is given back as it is when that is wanted, and to a POST', async () => {
  await using registry = await startHttpServer((_request, response) =>
    response.writeHead(307, { location: '/elsewhere' }).end(),
  )
  await using exchange = new HttpExchange({ timeouts })
  const url = new URL(registry.url)
  const manual = await exchange.send({ method: 'GET', url, headers, redirect: 'manual', signal })
  const post = await exchange.send({ method: 'POST', url, headers, body: 'a=b', signal })
  expect([manual.status, post.status]).toEqual([307, 307])
  discard(manual)
  discard(post)
  expect(registry.requests.length).toBe(2)
})

test.each([403, 404, 410])('an expired signed URL shows as a %d of another host than was asked', async (status) => {
  await using storage = await startHttpServer((_request, response) => response.writeHead(status).end('<Error/>'))
  await using registry = await startHttpServer((_request, response) =>
    response.writeHead(307, { location: `${storage.url}/blob?signature=secret` }).end(),
  )
  await using exchange = new HttpExchange({ timeouts })
  const response = await exchange.send({ method: 'GET', url: new URL(registry.url), headers, signal })
  discard(response)
  expect(response.status).toBe(status)
  expect(response.url.host).toBe(new URL(storage.url).host)
})

test('the connection survives short bodies that nobody wants, of redirects and of errors', async () => {
  const sockets = new Set<Socket>()
  await using registry = await startHttpServer(({ url, socket }, response) => {
    sockets.add(socket)
    const [status, headersBack] = url === '/redirect' ? [302, { location: '/error' }] : [404, {}]
    response.writeHead(status, { ...headersBack, 'content-length': 10_000 }).flushHeaders()
    // The body comes when the answer has been looked at.
    setTimeout(() => response.end('x'.repeat(10_000)), 10)
  })
  await using exchange = new HttpExchange({ timeouts })
  for (let i = 0; i < 10; i++) {
    const url = new URL(`${registry.url}/redirect`)
    const response = await exchange.send({ method: 'GET', url, headers, signal })
    discard(response)
    await waitFor(() => response.body.destroyed, { what: 'the end of the body' })
  }
  expect(registry.requests.length).toBe(20)
  // A second one while the body of a redirect is still being read.
  expect(sockets.size).toBeLessThanOrEqual(2)
})

test('a connection whose unwanted body is long is closed at once', async () => {
  await using registry = await startHttpServer((_request, response) => {
    response.writeHead(404, { 'content-length': 100_000_000 }).write('x')
  })
  await using exchange = new HttpExchange({ timeouts })
  const response = await exchange.send({ method: 'GET', url: new URL(registry.url), headers, signal })
  discard(response)
  expect(response.body.destroyed).toBe(true)
})

test('an unwanted body that turns out to be long is not read to its end', async () => {
  await using registry = await startHttpServer((_request, response) => response.end(Buffer.alloc(4 * 1024 * 1024)))
  await using exchange = new HttpExchange({ timeouts })
  const response = await exchange.send({ method: 'GET', url: new URL(registry.url), headers, signal })
  let read = 0
  response.body.on('data', ({ length }: Buffer) => (read += length))
  discard({ ...response, headers: {} })
  await waitFor(() => response.body.destroyed, { what: 'the end of the body' })
  expect(read).toBeLessThan(512 * 1024)
})

test('a connection whose unwanted body never ends is closed', async () => {
  let closed = 0
  await using registry = await startHttpServer(({ socket }, response) => {
    socket.once('close', () => closed++)
    response.writeHead(404, { 'content-length': 10 }).write('x')
  })
  await using exchange = new HttpExchange({ timeouts: { ...timeouts, idleMs: 60_000 } })
  discard(await exchange.send({ method: 'GET', url: new URL(registry.url), headers, signal }))
  await waitFor(() => closed === 1, { what: 'the end of the connection' })
  expect(closed).toBe(1)
})
