import type { Socket } from 'node:net'
import { waitFor } from '@layerlock/test-support'
import { expect, test } from 'vitest'
import { HttpExchange, readAll } from './http-exchange.ts'
import { startHttpServer } from '../http-server.testbed.ts'

const timeouts = { connectMs: 1_000, headersMs: 1_000, idleMs: 1_000 }
const { signal } = new AbortController()

test('a body that falls silent is given up', async () => {
  await using server = await startHttpServer((_request, response) => {
    response.writeHead(200, { 'content-length': 10 })
    response.write('x')
  })
  await using exchange = new HttpExchange({ timeouts: { ...timeouts, idleMs: 50 } })
  const response = await exchange.send({ method: 'GET', url: new URL(server.url), headers: {}, signal })
  await expect(readAll(response, 100)).rejects.toMatchObject({ code: 'UNKNOWN' })
})

test('a body that breaks off before anybody reads it is told to whoever does', async () => {
  const sockets: Socket[] = []
  await using server = await startHttpServer(({ socket }, response) => {
    sockets.push(socket)
    response.writeHead(200, { 'content-length': 10 })
    response.write('x')
  })
  await using exchange = new HttpExchange({ timeouts })
  const response = await exchange.send({ method: 'GET', url: new URL(server.url), headers: {}, signal })
  sockets[0]!.destroy()
  await waitFor(() => response.body.destroyed, { what: 'the end of the connection' })
  await expect(readAll(response, 100)).rejects.toMatchObject({ code: 'UNKNOWN' })
})

test('a server that never answers is given up', async () => {
  await using server = await startHttpServer(() => undefined)
  await using exchange = new HttpExchange({ timeouts: { ...timeouts, headersMs: 50 } })
  const sending = exchange.send({ method: 'GET', url: new URL(server.url), headers: {}, signal })
  await expect(sending).rejects.toMatchObject({ code: 'UNKNOWN' })
})

test('readAll() reads no more than it may', async () => {
  await using server = await startHttpServer((_request, response) => response.end('0123456789'))
  await using exchange = new HttpExchange({ timeouts })
  const send = () => exchange.send({ method: 'GET', url: new URL(server.url), headers: {}, signal })
  expect(String(await readAll(await send(), 10))).toBe('0123456789')
  await expect(readAll(await send(), 9)).rejects.toThrow('more than 9 bytes')
})
