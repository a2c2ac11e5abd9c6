import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { HttpBed } from './http.testbed.ts'

/** Sends text on a connection of its own. */
async function send(bed: HttpBed, text: string): Promise<Socket> {
  const { hostname, port } = new URL(bed.url)
  const socket = connect(Number(port), hostname).setEncoding('utf8')
  await once(socket, 'connect')
  socket.write(text)
  return socket
}

/** All that comes until the server closes the connection. */
async function received(socket: Socket): Promise<string> {
  let text = ''
  for await (const chunk of socket) text += chunk as string
  return text
}

test('the lock server refuses bodies over maxBodyBytes', async () => {
  await using bed = await HttpBed.start({ maxBodyBytes: 100 })
  const session = await bed.session('a')
  expect((await bed.acquire(session, 't')).status).toBe(200)
  const refused = await bed.acquire(session, 't'.repeat(100))
  expect(refused).toMatchObject({ status: 413, body: { error: { code: 'too_large' } } })
})

test('the lock server refuses a ticket over maxQueue', async () => {
  await using bed = await HttpBed.start({ settings: { maxQueue: 1 } })
  const session = await bed.session('a')
  for (const ticket of ['t1', 't2']) expect((await bed.acquire(session, ticket)).status).toBe(200)
  const refused = await bed.acquire(session, 't3')
  expect(refused).toMatchObject({ status: 429, body: { error: { code: 'queue_full' } } })
})

test('the lock server refuses a key over maxKeys, and goes on with those that it knows', async () => {
  await using bed = await HttpBed.start({ limits: { maxKeys: 1 } })
  const session = await bed.session('a')
  await bed.acquire(session, 't1', {}, 'first')
  const refused = await bed.acquire(session, 't1', {}, 'second')
  expect(refused).toMatchObject({ status: 503, body: { error: { code: 'overloaded' } } })
  expect(refused.headers.get('retry-after')).toBe('1')
  expect((await bed.acquire(session, 't2', {}, 'first')).body).toMatchObject({ status: 'queued' })
})

test('the lock server refuses a value over maxValueBytes, and the lease is still there', async () => {
  await using bed = await HttpBed.start({ limits: { maxValueBytes: 10 } })
  const session = await bed.session('a')
  const { fencingToken } = (await bed.acquire(session, 't')).body
  const complete = (value: string) =>
    bed.call('POST', '/v1/locks/k/complete', { session, body: { fencingToken, value } })
  expect(await complete('123456789')).toMatchObject({ status: 413, body: { error: { code: 'too_large' } } })
  expect(await complete('12345678')).toMatchObject({ status: 200 })
})

test('the lock server refuses a session over maxSessions, until another one has ended', async () => {
  await using bed = await HttpBed.start({ limits: { maxSessions: 1 } })
  const session = await bed.session('a')
  const open = () => bed.call('POST', '/v1/sessions', { body: { node: 'b' } })
  expect(await open()).toMatchObject({ status: 503, body: { error: { code: 'overloaded' } } })
  await bed.call('DELETE', '/v1/sessions', { session })
  expect(await open()).toMatchObject({ status: 201 })
})

test.each([
  ['its headers', 'GET /v1/nodes HTTP/1.1\r\nHost: x\r\n'],
  [
    'its body',
    'POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{',
  ],
])('the lock server refuses a request that takes too long to send %s', async (_what, beginning) => {
  await using bed = await HttpBed.start({ requestTimeoutMs: 50 })
  const text = await received(await send(bed, beginning))
  expect(text).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/)
  expect(text).toContain('{"error":{"code":"invalid_request","message":"request: took too long to arrive"}}')
})

test('the lock server closes a connection on which nothing comes, without a word', async () => {
  await using bed = await HttpBed.start({ requestTimeoutMs: 50 })
  expect(await received(await send(bed, ''))).toBe('')
})

test('the lock server refuses what is no HTTP, and headers that are too large', async () => {
  await using bed = await HttpBed.start()
  const nonsense = await received(await send(bed, 'HELO x\r\n\r\n'))
  expect(nonsense).toMatch(/^HTTP\/1\.1 400 .*"code":"invalid_request","message":"request: is not HTTP/s)
  const large = await received(await send(bed, `GET / HTTP/1.1\r\nHost: x\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`))
  expect(large).toMatch(/^HTTP\/1\.1 413 .*"code":"too_large","message":"request: its headers/s)
})

test('the lock server gives no second answer to a request that is answered before all of it has come', async () => {
  await using bed = await HttpBed.start({ requestTimeoutMs: 50, tokens: ['secret'] })
  const head = 'POST /v1/batch HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{'
  const text = await received(await send(bed, head))
  expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 401'])
})

test('the lock server writes no answer into a stream whose reader sends nonsense', async () => {
  await using bed = await HttpBed.start()
  const socket = await send(bed, 'GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n')
  await once(socket, 'readable')
  socket.write('nonsense\r\n\r\n')
  expect((await received(socket)).match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200'])
})

test('calls that are held back, and streams, may last longer than a request may take to arrive', async () => {
  await using bed = await HttpBed.start({ requestTimeoutMs: 50 })
  const session = await bed.session('a')
  await bed.acquire(session, 't1')
  const stream = await send(bed, 'GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n')
  const [parked, renewed] = await Promise.all([
    bed.acquire(session, 't2', { waitMs: 300 }),
    bed.call('POST', '/v1/sessions/renew', { session, body: { waitMs: 300 } }),
  ])
  expect(parked).toMatchObject({ status: 200, body: { status: 'queued' } })
  expect(renewed.status).toBe(200)
  expect(stream.readyState).toBe('open')
  stream.destroy()
})
