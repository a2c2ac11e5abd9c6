import { once } from 'node:events'
import { waitFor } from '@layerlock/test-support'
import { expect, test } from 'vitest'
import { failureOf } from '../failure-of.testbed.ts'
import { startHttpServer } from '../http-server.testbed.ts'
import { HttpExchange, readAll } from './http-exchange.ts'
import { startTrapServer } from './https-server.testbed.ts'

const timeouts = { connectMs: 60_000, headersMs: 60_000, idleMs: 60_000 }
const { signal } = new AbortController()

test('a server that takes a connection and says nothing in TLS is given up, and let go', async () => {
  await using trap = await startTrapServer()
  await using exchange = new HttpExchange({ timeouts: { ...timeouts, connectMs: 50 } })
  const url = new URL(`https://127.0.0.1:${trap.port}/?signature=secret`)
  const failure = await failureOf(exchange.send({ method: 'GET', url, headers: {}, signal }))
  expect(failure).toMatchObject({ code: 'UNKNOWN' })
  expect((failure as Error).message).not.toContain('secret')
  await waitFor(() => trap.connected === 0, { what: 'the end of the connection' })
  expect(trap.caught).toBe(1)
})

test('a body that waits for its reader is not idle, and counts as idle again once it is read', async () => {
  const size = 32 * 1024 * 1024
  await using server = await startHttpServer(({ url }, response) => {
    response.writeHead(200, { 'content-length': url === '/large' ? size + 1 : 10 })
    // Both stop short of what they have announced.
    response.write(url === '/large' ? Buffer.alloc(size) : 'x')
  })
  await using exchange = new HttpExchange({ timeouts: { ...timeouts, idleMs: 100 } })
  const get = (path: string) => exchange.send({ method: 'GET', url: new URL(path, server.url), headers: {}, signal })
  const large = await get('/large')
  await once(large.body, 'readable')
  // Bodies that began later are given up one after the other; this one would have been too, three times over.
  for (let i = 0; i < 3; i++)
    await expect(readAll(await get('/silent'), 100)).rejects.toMatchObject({ code: 'UNKNOWN' })
  expect(large.body.destroyed).toBe(false)
  let received = 0
  const reading = failureOf(
    (async () => {
      for await (const chunk of large.body as AsyncIterable<Buffer>) received += chunk.length
    })(),
  )
  expect(await reading).toMatchObject({ code: 'UND_ERR_BODY_TIMEOUT' })
  expect(received).toBe(size)
})

test('a signal ends a request before it is sent', async () => {
  await using server = await startHttpServer((_request, response) => response.end('x'))
  await using exchange = new HttpExchange({ timeouts })
  const reason = new Error('the reader is gone')
  const aborted = AbortSignal.abort(reason)
  const sending = exchange.send({ method: 'GET', url: new URL(server.url), headers: {}, signal: aborted })
  await expect(sending).rejects.toBe(reason)
  expect(server.requests).toEqual([])
})

test('a signal ends a request while it connects, at once', async () => {
  await using trap = await startTrapServer()
  await using exchange = new HttpExchange({ timeouts })
  const aborting = new AbortController()
  const reason = new Error('the reader is gone')
  const url = new URL(`https://127.0.0.1:${trap.port}`)
  const failing = failureOf(exchange.send({ method: 'GET', url, headers: {}, signal: aborting.signal }))
  await waitFor(() => trap.caught === 1, { what: 'a connection' })
  aborting.abort(reason)
  expect(await failing).toBe(reason)
})

test.each([
  ['while it waits for the headers', false],
  ['in the middle of the body', true],
])('a signal ends a request %s, and its connection', async (_, withHeaders) => {
  let closed = 0
  await using server = await startHttpServer(({ socket }, response) => {
    socket.once('close', () => closed++)
    if (!withHeaders) return
    response.writeHead(200, { 'content-length': 10 })
    response.write('x')
  })
  await using exchange = new HttpExchange({ timeouts })
  const aborting = new AbortController()
  const reason = new Error('the reader is gone')
  const request = { method: 'GET', url: new URL(server.url), headers: {}, signal: aborting.signal } as const
  const failing = failureOf(exchange.send(request).then((response) => readAll(response, 100)))
  await waitFor(() => server.requests.length === 1, { what: 'the request' })
  aborting.abort(reason)
  expect(((await failing) as Error).message).toContain('the reader is gone')
  await waitFor(() => closed === 1, { what: 'the end of the connection' })
})

test('a signal ends a body that nobody reads, and nobody is bothered with its failure', async () => {
  let closed = 0
  await using server = await startHttpServer(({ socket }, response) => {
    socket.once('close', () => closed++)
    response.writeHead(200, { 'content-length': 10 })
    response.write('x')
  })
  await using exchange = new HttpExchange({ timeouts })
  const aborting = new AbortController()
  const url = new URL(server.url)
  const response = await exchange.send({ method: 'GET', url, headers: {}, signal: aborting.signal })
  aborting.abort(new Error('the reader is gone'))
  await waitFor(() => closed === 1, { what: 'the end of the connection' })
  expect(response.body.destroyed).toBe(true)
})
