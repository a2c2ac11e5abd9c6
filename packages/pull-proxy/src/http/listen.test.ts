import dns from 'node:dns'
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
  const url = await listenOn(app, { host: 'localhost', port: 0 })
  lookup.mockRestore()
  const other = new URL(url)
  other.hostname = '127.0.0.2'
  expect(await (await fetch(url)).text()).toBe('here')
  await expect(fetch(other)).rejects.toThrow('fetch failed')
  await app.close()
})
