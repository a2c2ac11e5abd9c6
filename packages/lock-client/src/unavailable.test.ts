import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { expect, test } from 'vitest'
import { LockServer, type LockServerOptions, MemoryLockStore } from '../../lock-server/src/index.ts'
import { ClientBed } from './client.testbed.ts'
import { LockServerUnavailableError, LockTimeoutError } from './errors.ts'
import { fetchThrough } from './fetch.testbed.ts'

const startServer = (port: number, options: Partial<LockServerOptions> = {}) =>
  LockServer.start({ host: '127.0.0.1', port, store: new MemoryLockStore(), ...options })

test.concurrent('calls throw LockServerUnavailableError after unavailableTimeoutMs', async () => {
  await using bed = await ClientBed.start(startServer)
  const a = bed.newClient('a', { unavailableTimeoutMs: 300 })
  await bed.stopServer()
  for (const call of [() => a.acquire('k'), () => a.poll('k'), () => a.updateCopies({ add: ['k'] })]) {
    await expect(call()).rejects.toBeInstanceOf(LockServerUnavailableError)
  }
})

test.concurrent('calls survive a server that is away for a while', async () => {
  await using bed = await ClientBed.start(startServer)
  const a = bed.newClient('a')
  await bed.stopServer()
  const acquiring = a.acquire('k')
  await bed.restartServer()
  expect(await acquiring).toMatchObject({ held: true })
})

test.concurrent('acquire() obeys its timeoutMs although the server accepts connections and says nothing', async () => {
  await using bed = await ClientBed.start(startServer)
  const silent = createServer(() => undefined).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`
  const a = bed.newClient('a', { url, tryTimeoutMs: 600_000 })
  await expect(a.acquire('k', { timeoutMs: 50 })).rejects.toBeInstanceOf(LockTimeoutError)
  await a.close()
  silent.close()
})

test.concurrent('a wrong token is told, not retried', async () => {
  await using bed = await ClientBed.start((port) => startServer(port, { tokens: ['secret'] }))
  await expect(bed.newClient('a', { token: 'wrong' }).acquire('k')).rejects.toMatchObject({ code: 'unauthorized' })
  expect(await bed.newClient('a', { token: 'secret' }).acquire('k')).toMatchObject({ held: true })
})

test.concurrent('an injected fetch is used instead of undici', async () => {
  await using bed = await ClientBed.start(startServer)
  const paths: string[] = []
  const fetching = fetchThrough((path, send) => {
    paths.push(path)
    return send()
  })
  const a = bed.newClient('a', { fetch: fetching })
  await using lease = await a.acquire('k')
  expect(lease.held).toBe(true)
  expect(paths).toEqual(['/v1/sessions', '/v1/locks/k/acquire'])
})

test.concurrent('answers that make no sense are not believed', async () => {
  await using bed = await ClientBed.start(startServer)
  const nonsense = fetchThrough(async (path, send) =>
    path.endsWith('/acquire') ? Response.json({ status: 'granted', fencingToken: 'none' }) : send(),
  )
  const a = bed.newClient('a', { fetch: nonsense, unavailableTimeoutMs: 100 })
  await expect(a.acquire('k')).rejects.toThrow('the answer to acquire is not one of a lock server')
})
