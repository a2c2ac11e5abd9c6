import { expect, test, vi } from 'vitest'
import { LockServer, MemoryLockStore } from '../../lock-server/src/index.ts'
import { ClientBed } from './client.testbed.ts'
import { ClientClosedError } from './errors.ts'
import { fetchThrough } from './fetch.testbed.ts'
import { Link } from './link.testbed.ts'
import { LockClient } from './lock-client.ts'

const startServer = (port: number) => LockServer.start({ host: '127.0.0.1', port, store: new MemoryLockStore() })

/** Each kind of call, as it is started. */
const CALLS: readonly [string, (locks: LockClient) => Promise<unknown>][] = [
  ['poll', (locks) => locks.poll('k')],
  ['poll with a signal', (locks) => locks.poll('k', { signal: new AbortController().signal })],
  ['wait', (locks) => locks.wait('k')],
  ['wait with timeoutMs', (locks) => locks.wait('k', { timeoutMs: 60_000 })],
  ['forget', (locks) => locks.forget('k')],
  ['nodes', (locks) => locks.nodes()],
  ['watch', (locks) => locks.watch().next()],
  ['updateCopies', (locks) => locks.updateCopies({ add: ['k'] })],
  ['acquire', (locks) => locks.acquire('k')],
]

test.concurrent('a second close() waits for the first, which ends the session all the same', async () => {
  await using bed = await ClientBed.start(startServer)
  const { promise: held, resolve: letGo } = Promise.withResolvers<void>()
  let closings = 0
  const fetching = fetchThrough(async (path, send, { method }) => {
    if (path === '/v1/sessions' && method === 'DELETE') {
      closings++
      await held
    }
    return send()
  })
  const a = bed.newClient('a', { fetch: fetching })
  await a.acquire('k')
  let closed = 0
  const both = [a.close(), a.close()].map((closing) => closing.then(() => closed++))
  await vi.waitFor(() => expect(closings).toBe(1))
  expect(closed).toBe(0)
  letGo()
  await Promise.all(both)
  expect(closings).toBe(1)
  expect(await bed.newClient('b').tryAcquire('k')).toBeDefined()
})

test.concurrent('over undici, too, a second close() does not cut off the first', async () => {
  await using bed = await ClientBed.start(startServer)
  const a = bed.newClient('a')
  await a.acquire('k')
  await Promise.all([a.close(), a.close()])
  expect(await bed.newClient('b').tryAcquire('k')).toBeDefined()
})

test.concurrent.each(CALLS)('%s rejects with ClientClosedError after close(), asking nobody', async (_name, call) => {
  for (const options of [{}, { fetch: () => Promise.reject(new Error('nobody is to be asked')) }]) {
    const locks = new LockClient({ url: 'http://127.0.0.1:1', ...options })
    await locks.close()
    await expect(call(locks)).rejects.toBeInstanceOf(ClientClosedError)
  }
})

test.concurrent.each(CALLS)(
  '%s that is on its way over undici rejects when the client is closed',
  async (_name, call) => {
    await using bed = await ClientBed.start(startServer)
    await using link = await Link.to(bed.url)
    const locks = bed.newClient('a', { url: link.url, tryTimeoutMs: 300_000 })
    await locks.nodes()
    link.blocked = true
    const calling = call(locks).catch((error: unknown) => error)
    // Under way for sure: another client is answered meanwhile.
    await bed.newClient('b').nodes()
    await locks.close()
    expect(await calling).toBeInstanceOf(ClientClosedError)
  },
)

test.concurrent.each(CALLS)('%s over a fetch that ignores its signal rejects on close()', async (_name, call) => {
  let calls = 0
  const fetching = () => {
    calls++
    return new Promise<never>(() => undefined)
  }
  const locks = new LockClient({ url: 'http://host', fetch: fetching, tryTimeoutMs: 300_000 })
  const calling = call(locks).catch((error: unknown) => error)
  await vi.waitFor(() => expect(calls).toBe(1))
  await locks.close()
  expect(await calling).toBeInstanceOf(ClientClosedError)
})

test.concurrent.each(CALLS)('%s in the pause before a retry rejects when the client is closed', async (_name, call) => {
  const body = { error: { code: 'overloaded', message: 'busy' } }
  let calls = 0
  const fetching = () => {
    calls++
    return Promise.resolve(Response.json(body, { status: 503, headers: { 'retry-after': '600' } }))
  }
  const locks = new LockClient({ url: 'http://host', fetch: fetching, unavailableTimeoutMs: Infinity })
  const calling = call(locks).catch((error: unknown) => error)
  await vi.waitFor(() => expect(calls).toBe(1))
  await new Promise(setImmediate)
  await locks.close()
  expect(await calling).toBeInstanceOf(ClientClosedError)
})
