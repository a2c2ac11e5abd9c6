import { expect, test, vi } from 'vitest'
import { LockServer, MemoryLockStore } from '../../lock-server/src/index.ts'
import { ClientBed } from './client.testbed.ts'
import { LockTimeoutError, OutcomeInvalidError } from './errors.ts'
import { sleep } from './sleep.ts'

const UNTIL = { timeout: 15_000, interval: 10 }

const startServer = (port: number) => LockServer.start({ host: '127.0.0.1', port, store: new MemoryLockStore() })

test.concurrent('once() does not do the work anew for a result that verify accepts', async () => {
  await using bed = await ClientBed.start(startServer)
  const [a, b] = [bed.newClient('a'), bed.newClient('b')]
  await a.once('k', async () => 'good')
  const seen: string[] = []
  const verify = async (value: string) => seen.push(value) > 0
  expect(await b.once('k', async () => 'again', { verify })).toMatchObject({ ran: false, value: 'good', by: 'a' })
  expect(seen).toEqual(['good'])
})

test.concurrent('once() forgets a result that verify refuses, and does the work anew', async () => {
  await using bed = await ClientBed.start(startServer)
  const [a, b, c] = [bed.newClient('a'), bed.newClient('b'), bed.newClient('c')]
  await a.once('k', async () => 'bad')
  const verify = (value: string) => value !== 'bad'
  expect(await b.once('k', async () => 'good', { verify })).toMatchObject({ ran: true, value: 'good', by: 'b' })
  expect(await c.once('k', async () => 'again', { verify })).toMatchObject({ ran: false, value: 'good' })
})

test.concurrent('of twenty clients that refuse one result at once, one does the work anew, once', async () => {
  await using bed = await ClientBed.start(startServer)
  await bed.newClient('a').once('k', async () => 'bad')
  let [refusals, runs] = [0, 0]
  const work = async () => {
    runs++
    return 'good'
  }
  const verify = async (value: string) => {
    if (value !== 'bad') return true
    refusals++
    // All of them have seen it before any of them acts on it.
    await vi.waitFor(() => expect(refusals).toBe(20), UNTIL)
    return false
  }
  const clients = Array.from({ length: 20 }, (_, index) => bed.newClient(`n${index}`))
  const results = await Promise.all(clients.map((locks) => locks.once('k', work, { verify })))
  expect(runs).toBe(1)
  expect(results.map(({ value }) => value)).toEqual(clients.map(() => 'good'))
  expect(results.filter(({ ran }) => ran)).toHaveLength(1)
})

test.concurrent('once() throws OutcomeInvalidError when verify refuses the next result as well', async () => {
  await using bed = await ClientBed.start(startServer)
  const [a, b] = [bed.newClient('a'), bed.newClient('b')]
  await a.once('k', async () => 'bad')
  let refusals = 0
  const verify = async () => {
    refusals++
    // Another one is faster, and no better.
    await a.forget('k')
    await a.once('k', async () => 'bad')
    return false
  }
  const error: unknown = await b.once('k', async () => 'good', { verify }).catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(OutcomeInvalidError)
  expect(error).toMatchObject({ code: 'outcome_invalid', key: 'k', retryable: false })
  expect(refusals).toBe(2)
  expect((await a.poll('k')).state).toBe('done')
})

test.concurrent('once() throws what verify throws, and leaves the result as it is', async () => {
  await using bed = await ClientBed.start(startServer)
  const [a, b] = [bed.newClient('a'), bed.newClient('b')]
  await a.once('k', async () => 'good')
  const broken = new Error('cannot look')
  await expect(b.once('k', async () => 'again', { verify: () => Promise.reject(broken) })).rejects.toBe(broken)
  expect((await a.poll('k')).state).toBe('done')
})

test.concurrent('once() has one timeoutMs for all of its waiting', async () => {
  await using bed = await ClientBed.start(startServer)
  const [a, b] = [bed.newClient('a'), bed.newClient('b')]
  await a.once('k', async () => 'bad')
  const timeoutMs = 1_000
  const verify = async () => {
    await a.forget('k')
    const lease = await a.acquire('k')
    const queued = vi.waitFor(async () => expect((await a.poll('k')).queue).toHaveLength(1), { timeout: 2_000 })
    void queued.then(() => lease.release()).catch(() => undefined)
    await sleep(timeoutMs)
    return false
  }
  await expect(b.once('k', async () => 'good', { verify, timeoutMs })).rejects.toBeInstanceOf(LockTimeoutError)
})

test.concurrent('once() with timeoutMs ends a verify() that takes too long, and names the time that it was given', async () => {
  await using bed = await ClientBed.start(startServer)
  const a = bed.newClient('a')
  await a.once('k', async () => 1)
  const verify = () => new Promise<never>(() => undefined)
  const late = a.once('k', async () => 2, { verify, timeoutMs: 50 })
  await expect(late).rejects.toMatchObject({ code: 'timeout', message: 'k: not there within 50 ms' })
})
