import dns from 'node:dns'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { expect, test, vi } from 'vitest'
import { createTestLogger } from '../test-logger.testbed.ts'
import { createApp } from './create-app.ts'
import { listenOn } from './listen.ts'

test('listenOn() takes one address of a name that has several', async () => {
  // Each of these is this machine's.
  const addresses = ['127.0.0.1', '127.0.0.2'].map((address) => ({ address, family: 4 }))
  const answer = (host: string, _options: object, callback: (error: null, found: object[]) => void) =>
    callback(null, host === 'localhost' ? addresses : [{ address: host, family: 4 }])
  const lookup = vi.spyOn(dns, 'lookup').mockImplementation(answer as unknown as typeof dns.lookup)
  const app = createApp(createTestLogger())
  app.get('/', () => 'here')
  const url = await listenOn(app, { host: 'localhost', port: 0 }, 'listen')
  lookup.mockRestore()
  const other = new URL(url)
  other.hostname = '127.0.0.2'
  expect(await (await fetch(url)).text()).toBe('here')
  await expect(fetch(other)).rejects.toThrow('fetch failed')
  await app.close()
})

test.each([
  ['127.0.0.1', 'EADDRINUSE'],
  ['192.0.2.1', 'EADDRNOTAVAIL'],
  ['nowhere.invalid', /^(?:ENOTFOUND|EAI_AGAIN)$/],
])('listenOn() says which setting has an address that cannot be listened on: %s', async (host, code) => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const { port } = taken.address() as AddressInfo
  const app = createApp(createTestLogger())
  await expect(listenOn(app, { host, port }, 'adminListen')).rejects.toMatchObject({
    code: expect.stringMatching(code),
    message: expect.stringMatching(new RegExp(`^adminListen: cannot listen on ${host}:${port} \\(.*E[A-Z]+`)),
  })
  taken.close()
  await app.close()
})
