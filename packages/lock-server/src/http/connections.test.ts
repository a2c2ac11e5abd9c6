import { once } from 'node:events'
import type { Server } from 'node:http'
import { connect, type Socket } from 'node:net'
import { promisify } from 'node:util'
import { expect, onTestFinished, test, vi } from 'vitest'
import { createApiApp } from './api-app.ts'

const UNTIL = { timeout: 15_000, interval: 10 }
/** More than the sockets of both sides hold. */
const LARGE = 'x'.repeat(64 * 1024 * 1024)

/** An app with an answer that is large, one that does not come, and a stream that is quiet. */
async function listen(unreadMs: number) {
  const app = createApiApp({ unreadMs })
  app.get('/large', () => LARGE)
  app.get('/parked', (_request, reply) => reply.hijack())
  app.get('/quiet', (_request, reply) => {
    reply.hijack()
    reply.raw.write(':\n\n')
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  onTestFinished(async () => {
    app.server.closeAllConnections()
    await app.close()
  })
  const { port } = app.server.address() as { port: number }
  const get = async (path: string): Promise<Socket> => {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => undefined)
    onTestFinished(() => void socket.destroy())
    await once(socket, 'connect')
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`)
    return socket
  }
  return { get, connectionCount: () => countOf(app.server) }
}

const countOf = (server: Server) => promisify(server.getConnections.bind(server))()

test('a connection is cut whose client leaves its answer untaken; those that wait, or are quiet, are not', async () => {
  const { get, connectionCount } = await listen(60)
  for (const path of ['/parked', '/quiet']) await get(path)
  const unread = await get('/large')
  unread.pause()
  expect(await connectionCount()).toBe(3)
  await vi.waitFor(async () => expect(await connectionCount()).toBe(2), UNTIL)
  const alsoUnread = await get('/large')
  alsoUnread.pause()
  await vi.waitFor(async () => expect(await connectionCount()).toBe(2), UNTIL)
})

test('a client that takes its answer gets all of it', async () => {
  const { get } = await listen(5_000)
  let bytes = 0
  for await (const chunk of await get('/large')) {
    bytes += (chunk as Buffer).length
    if (bytes > LARGE.length) break
  }
  expect(bytes).toBeGreaterThan(LARGE.length)
})
