import { expect, test, vi } from 'vitest'
import { LockServer, type LockServerOptions, MemoryLockStore } from '../../lock-server/src/index.ts'
import { ClientBed } from './client.testbed.ts'
import { fetchThrough } from './fetch.testbed.ts'
import { Link } from './link.testbed.ts'
import { LockClient } from './lock-client.ts'
import type { Ticket, TicketAnswer } from './ticket.ts'

const UNTIL = { timeout: 15_000, interval: 10 }

const startServer = (port: number, options: Partial<LockServerOptions> = {}) =>
  LockServer.start({ host: '127.0.0.1', port, store: new MemoryLockStore(), ...options })

async function nextBut(ticket: Ticket, status: TicketAnswer['status']): Promise<TicketAnswer> {
  for (;;) {
    const answer = await ticket.next()
    if (answer.status !== status) return answer
  }
}

test.concurrent('ticket.ask() learns the state at once, and never queues twice', async () => {
  await using bed = await ClientBed.start(startServer)
  const [a, b] = [bed.newClient('a', { endpoint: 'http://a' }), bed.newClient('b')]
  const lease = await a.acquire('k')
  await lease.progress(1, 2)
  const ticket = b.ticket('k')
  const holder = { node: 'a', endpoint: 'http://a', progress: { done: 1, total: 2 } }
  const queued = { status: 'queued', position: 1, holder, source: { node: 'a', endpoint: 'http://a' } }
  expect(await ticket.ask()).toEqual(queued)
  expect(await ticket.ask()).toEqual(queued)
  expect(await a.poll('k')).toMatchObject({ queue: [{ node: 'b' }] })
  await ticket.progress(5, 7)
  expect(await a.poll('k')).toMatchObject({ queue: [{ progress: { done: 5, total: 7 } }] })
})

test.concurrent('ticket.next() waits until there is another source, and then for the lease', async () => {
  await using bed = await ClientBed.start(startServer)
  const [a, b] = [bed.newClient('a', { endpoint: 'http://a' }), bed.newClient('b', { endpoint: 'http://b' })]
  const first = await a.acquire('k')
  const second = b.ticket('k')
  await second.ask()
  const ticket = bed.newClient('c').ticket('k')
  expect(await ticket.ask()).toMatchObject({ source: { node: 'a' } })
  const waiting = ticket.next()
  await first.release()
  expect(await waiting).toMatchObject({ status: 'queued', position: 1, source: { node: 'b', endpoint: 'http://b' } })
  const granted = await second.ask()
  const next = ticket.next()
  if (granted.status === 'granted') await granted.lease.release()
  expect(await next).toMatchObject({ status: 'granted' })
})

test.concurrent('ticket.next() learns of an outcome with its value, and of a failure', async () => {
  await using bed = await ClientBed.start(startServer)
  const [a, b] = [bed.newClient('a'), bed.newClient('b')]
  const first = await a.acquire('k')
  const ticket = b.ticket('k')
  await ticket.ask()
  const done = ticket.next()
  await first.complete({ value: { size: 1 } })
  expect(await done).toMatchObject({ status: 'done', value: { size: 1 }, by: { node: 'a' } })

  const second = await a.acquire('other')
  const failing = b.ticket('other')
  await failing.ask()
  const failed = failing.next()
  await second.fail({ code: 'denied', message: 'no' }, { permanent: true })
  expect(await failed).toMatchObject({ status: 'failed', error: { code: 'denied' }, attempts: 1 })
})

test.concurrent('ticket.cancel() leaves the queue, and the ticket is over', async () => {
  await using bed = await ClientBed.start(startServer)
  const [a, b] = [bed.newClient('a'), bed.newClient('b')]
  const lease = await a.acquire('k')
  const ticket = b.ticket('k')
  await ticket.ask()
  await ticket.cancel()
  expect(await a.poll('k')).toMatchObject({ queue: [] })
  await lease.release()
  await expect(ticket.ask()).rejects.toMatchObject({ code: 'lease_lost' })
})

test.concurrent('ticket.cancel() that cannot be delivered is delivered when the server is back', async () => {
  await using bed = await ClientBed.start(startServer)
  let away = false
  const fetching = fetchThrough((path, send) =>
    away && path.endsWith('/cancel') ? Promise.reject(new TypeError('away')) : send(),
  )
  const ticket = bed.newClient('a', { fetch: fetching }).ticket('k')
  await ticket.ask()
  away = true
  await ticket.cancel()
  const b = bed.newClient('b')
  expect(await b.tryAcquire('k')).toBeUndefined()
  away = false
  expect(await b.acquire('k')).toMatchObject({ attempt: 1 })
})

test.concurrent('ticket.ask() gives the same lease again, and refuses to begin anew once it has ended', async () => {
  await using bed = await ClientBed.start(startServer)
  const ticket = bed.newClient('a').ticket('k')
  const first = await ticket.ask()
  const again = await ticket.ask()
  if (first.status !== 'granted' || again.status !== 'granted') throw new Error(`${first.status}, ${again.status}`)
  expect(again.lease.fencingToken).toBe(first.lease.fencingToken)
  await first.lease.release()
  await expect(ticket.ask()).rejects.toMatchObject({ code: 'lease_lost' })
})

test.concurrent('ticket.ask() queues anew when an offer has lapsed before it was taken up', async () => {
  await using bed = await ClientBed.start((port) => startServer(port, { settings: { offerMs: 20 } }))
  const [a, b] = [bed.newClient('a'), bed.newClient('b')]
  const lease = await a.acquire('k')
  const ticket = b.ticket('k', { ignoreOutcome: true })
  await ticket.ask()
  const before = ticket.id
  await lease.release()
  await vi.waitFor(async () => expect((await a.poll('k')).state).toBe('free'), UNTIL)
  expect(await ticket.ask()).toMatchObject({ status: 'granted' })
  expect(ticket.id).not.toBe(before)
})

test.concurrent('ticket.next() goes on waiting when its session was replaced by one that resumes it', async () => {
  await using bed = await ClientBed.start(startServer)
  let cut = false
  const sessions: boolean[] = []
  const a = bed.newClient('a')
  const b = bed.newClient('b', {
    sessionTtlMs: 5_000,
    onSession: ({ resumed }) => sessions.push(resumed),
    fetch: fetchThrough((path, send) =>
      cut && path.endsWith('/renew') ? Promise.reject(new TypeError('cut')) : send(),
    ),
  })
  const lease = await a.acquire('k')
  const waiting = b.acquire('k')
  cut = true
  await vi.waitFor(() => expect(sessions).toEqual([false, true]), UNTIL)
  cut = false
  await vi.waitFor(async () => expect((await a.poll('k')).queue).toMatchObject([{ node: 'b' }]), UNTIL)
  await lease.release()
  expect(await waiting).toMatchObject({ held: true })
})

test.concurrent('ticket.next() falls back to polling where long polls are cut', async () => {
  await using bed = await ClientBed.start(startServer)
  await using link = await Link.to(bed.url)
  link.cutAfterMs = 100
  const [a, b] = [bed.newClient('a'), bed.newClient('b', { url: link.url })]
  const lease = await a.acquire('k')
  const ticket = b.ticket('k')
  await nextTimes(ticket, 4)
  expect(link.cuts).toBeGreaterThanOrEqual(2)
  const waiting = nextBut(ticket, 'queued')
  await lease.release()
  expect(await waiting).toMatchObject({ status: 'granted' })
})

async function nextTimes(ticket: Ticket, times: number): Promise<void> {
  for (let count = 0; count < times; count++) expect(await ticket.next()).toMatchObject({ status: 'queued' })
}

test('ticket.next() waits for as long as an overloaded server asks for', async () => {
  await using bed = await ClientBed.start(startServer)
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  const times: number[] = []
  const overloaded = fetchThrough(async (path) => {
    if (path === '/v1/sessions') return Response.json({ id: 's', ttlMs: 600_000, resumed: false }, { status: 201 })
    times.push(performance.now())
    if (times.length > 1) return Response.json({ status: 'granted', fencingToken: 1, attempt: 1 })
    const body = { error: { code: 'overloaded', message: 'busy' } }
    return Response.json(body, { status: 503, headers: { 'retry-after': '4' } })
  })
  const a = new LockClient({ url: bed.url, node: 'a', fetch: overloaded })
  try {
    const waiting = a.ticket('k').next()
    await vi.advanceTimersByTimeAsync(3_999)
    expect(times).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(1_000)
    expect(await waiting).toMatchObject({ status: 'granted' })
    expect(times[1]! - times[0]!).toBeGreaterThanOrEqual(4_000)
  } finally {
    vi.useRealTimers()
  }
})

test('a request that arrives after its ticket was told the outcome takes nothing', async () => {
  await using bed = await ClientBed.start(startServer)
  const late: (() => Promise<Response>)[] = []
  const slow: typeof fetch = (input, init) => {
    const request = new Request(input, init)
    if (!request.url.endsWith('/acquire') || late.length > 0) return fetch(input, init)
    const { signal: _, ...rest } = init ?? {}
    late.push(() => fetch(input, rest))
    return Promise.reject(new Error('on its way for ever'))
  }
  const a = bed.newClient('a')
  await a.once('k', () => Promise.resolve('result'))
  const reader = bed.newClient('b', { fetch: slow })
  expect(await reader.once('k', () => Promise.resolve('not needed'))).toMatchObject({ ran: false, value: 'result' })
  await a.forget('k')
  // The ticket is known to be over before anything else could be granted to it.
  await vi.waitFor(async () => {
    const answer = await late[0]!()
    expect(await answer.json()).toMatchObject({ error: { code: 'lease_lost' } })
  })
  expect(await a.poll('k')).toMatchObject({ state: 'free', holders: [] })
})

test('ticket.next() of a ticket that must wait asks once at once, and then waits in one request', async () => {
  await using bed = await ClientBed.start(startServer)
  const waits: unknown[] = []
  const counted: typeof fetch = async (input, init) => {
    const request = new Request(input, init)
    if (request.url.endsWith('/acquire')) waits.push(((await request.json()) as { waitMs: number }).waitMs)
    return fetch(input, init)
  }
  const lease = await bed.newClient('a').acquire('k')
  const waiting = bed.newClient('b', { fetch: counted }).acquire('k')
  await vi.waitFor(() => expect(waits).toEqual([0, 25_000]))
  await lease.release()
  expect((await waiting).held).toBe(true)
  expect(waits).toEqual([0, 25_000])
})
