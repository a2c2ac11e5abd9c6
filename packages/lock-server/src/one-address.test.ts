import dns from 'node:dns'
import { expect, test, vi } from 'vitest'
import { LockServer } from './lock-server.ts'
import { MemoryLockStore } from './store/memory-lock-store.ts'

test('a server listens on one address of a name that has several', async () => {
  // Each of these is this machine's.
  const addresses = ['127.0.0.1', '127.0.0.2'].map((address) => ({ address, family: 4 }))
  const answer = (host: string, _options: object, callback: (error: null, found: object[]) => void) =>
    callback(null, host === 'localhost' ? addresses : [{ address: host, family: 4 }])
  const lookup = vi.spyOn(dns, 'lookup').mockImplementation(answer as unknown as typeof dns.lookup)
  const server = await LockServer.start({ host: 'localhost', port: 0, store: new MemoryLockStore() })
  lookup.mockRestore()
  await using _server = server
  const other = new URL(server.url)
  other.hostname = '127.0.0.2'
  expect((await fetch(`${server.url}/healthz`)).status).toBe(200)
  await expect(fetch(new URL('/healthz', other))).rejects.toThrow('fetch failed')
})
