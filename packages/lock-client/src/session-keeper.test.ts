import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, test, vi } from 'vitest'
import { LockServer, MemoryLockStore } from '../../lock-server/src/index.ts'
import { ClientBed } from './client.testbed.ts'
import { fetchThrough } from './fetch.testbed.ts'

const UNTIL = { timeout: 10_000, interval: 10 }

const startServer = (port: number) => LockServer.start({ host: '127.0.0.1', port, store: new MemoryLockStore() })

/** A fetch that counts the renewals that went through it. */
function countingRenewals() {
  const count = { renewals: 0 }
  const fetching = fetchThrough(async (path, send) => {
    const answer = await send()
    if (path.endsWith('/renew')) count.renewals++
    return answer
  })
  return { count, fetching }
}

test.concurrent('a session is opened at the first use, once, and renewed for as long as it is needed', async () => {
  await using bed = await ClientBed.start(startServer)
  const { count, fetching } = countingRenewals()
  const sessions: unknown[] = []
  const a = bed.newClient('a', { sessionTtlMs: 3_000, fetch: fetching, onSession: (session) => sessions.push(session) })
  expect(await a.nodes()).toEqual([])
  const [lease] = await Promise.all([a.acquire('k'), a.acquire('other')])
  expect(sessions).toHaveLength(1)
  await vi.waitFor(() => expect(count.renewals).toBe(4), UNTIL)
  lease.assertHeld()
  expect(await a.nodes()).toMatchObject([{ node: 'a' }])
  expect(await bed.newClient('b').tryAcquire('k')).toBeUndefined()
})

test.concurrent('a parked renewal keeps the session as well', async () => {
  await using bed = await ClientBed.start(startServer)
  const { count, fetching } = countingRenewals()
  const a = bed.newClient('a', { sessionTtlMs: 3_000, disconnectGraceMs: 500, fetch: fetching })
  const lease = await a.acquire('k')
  await vi.waitFor(() => expect(count.renewals).toBe(4), UNTIL)
  lease.assertHeld()
})

test.concurrent('a session that the server has lost is replaced, and its leases are told so', async () => {
  await using bed = await ClientBed.start(startServer)
  const ids: string[] = []
  const a = bed.newClient('a', { sessionTtlMs: 1_000, onSession: ({ id }) => ids.push(id) })
  const lease = await a.acquire('k')
  await bed.endSession(ids[0])
  await vi.waitFor(() => expect(lease.signal.aborted).toBe(true), UNTIL)
  await vi.waitFor(() => expect(ids).toHaveLength(2), UNTIL)
  expect(await a.acquire('k')).toMatchObject({ held: true })
})

test.concurrent('a session is resumed by a process that knows the id of its predecessor', async () => {
  await using bed = await ClientBed.start(startServer)
  const ids: string[] = []
  const before = bed.newClient('a', { endpoint: 'http://a', onSession: ({ id }) => ids.push(id) })
  await before.updateCopies({ add: ['blob/1'] })
  const resumed: boolean[] = []
  const after = bed.newClient('a', {
    endpoint: 'http://b',
    resume: ids[0],
    onSession: (one) => resumed.push(one.resumed),
  })
  await after.connect()
  expect(resumed).toEqual([true])
  expect(await after.poll('blob/1')).toMatchObject({ outcome: { copies: [{ endpoint: 'http://b' }] } })
})

test.concurrent('an onSession that throws costs nothing but a warning', async () => {
  await using bed = await ClientBed.start(startServer)
  const warn = vi.fn<(context: object, message: string) => void>()
  const onSession = () => {
    throw new Error('not now')
  }
  const a = bed.newClient('a', { onSession, logger: { warn, debug: () => undefined } })
  expect(await a.acquire('k')).toMatchObject({ held: true })
  expect(warn).toHaveBeenCalledWith({ err: expect.objectContaining({ message: 'not now' }) }, 'onSession failed')
})

test.concurrent('a server that dies while a lease is held costs the lease, and no unhandled rejection', async () => {
  await using bed = await ClientBed.start(startServer)
  const unhandled: unknown[] = []
  const listener = (reason: unknown) => unhandled.push(reason)
  process.on('unhandledRejection', listener)
  try {
    const a = bed.newClient('a', { sessionTtlMs: 1_000 })
    const parks = bed.newClient('b', { sessionTtlMs: 1_000, disconnectGraceMs: 100 })
    const leases = [await a.acquire('k'), await parks.acquire('other')]
    await bed.stopServer()
    await vi.waitFor(() => expect(leases.map(({ signal }) => signal.aborted)).toEqual([true, true]), UNTIL)
    await bed.restartServer()
    await vi.waitFor(async () => expect(await a.nodes()).toHaveLength(2), UNTIL)
    expect(await a.acquire('k')).toMatchObject({ held: true })
  } finally {
    process.off('unhandledRejection', listener)
  }
  expect(unhandled).toEqual([])
})

test.concurrent('one renewal that hangs does not cost the session', async () => {
  await using bed = await ClientBed.start(startServer)
  let renewals = 0
  const fetching = fetchThrough((path, send, { signal }) => {
    if (!path.endsWith('/renew') || renewals++ > 0) return send()
    return new Promise((_resolve, reject) => {
      signal?.addEventListener('abort', () => reject(new TypeError('aborted')))
    })
  })
  const sessions: string[] = []
  const a = bed.newClient('a', { sessionTtlMs: 3_000, fetch: fetching, onSession: ({ id }) => sessions.push(id) })
  const lease = await a.acquire('k')
  await vi.waitFor(() => expect(renewals).toBe(4), UNTIL)
  lease.assertHeld()
  expect(sessions).toHaveLength(1)
})

/** Runs a program that uses the client in a process of its own; it prints `held` when it holds the key. */
function runHolder(url: string, options: object): ChildProcess {
  const program = `
    import { LockClient } from ${JSON.stringify(new URL('./index.ts', import.meta.url).href)}
    const locks = new LockClient(${JSON.stringify({ url, node: 'child', ...options })})
    await locks.acquire('k')
    console.log('held')
  `
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  child.stderr?.setEncoding('utf8')
  return child
}

test('a client with an open session does not keep its process alive', async () => {
  await using bed = await ClientBed.start(startServer)
  const child = runHolder(bed.url, { sessionTtlMs: 600_000 })
  const [code] = (await once(child, 'exit')) as [number | null]
  expect(code).toBe(0)
  expect(await bed.newClient('b').tryAcquire('k')).toBeUndefined()
})

test('a process that is killed loses its session after its disconnectGraceMs', async () => {
  await using bed = await ClientBed.start(startServer)
  const child = runHolder(bed.url, { sessionTtlMs: 600_000, disconnectGraceMs: 50 })
  const [text] = (await once(child.stdout!, 'data')) as [Buffer]
  expect(String(text)).toBe('held\n')
  const b = bed.newClient('b')
  expect(await b.tryAcquire('k')).toBeUndefined()
  child.kill('SIGKILL')
  expect(await b.acquire('k')).toMatchObject({ attempt: 2, lastError: { message: 'the process has died' } })
})
