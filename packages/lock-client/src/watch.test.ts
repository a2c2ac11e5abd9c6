import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test, vi } from 'vitest'
import { LockServer, type LockServerOptions, MemoryLockStore } from '../../lock-server/src/index.ts'
import { ClientBed } from './client.testbed.ts'
import type { WatchEvent } from './call-options.ts'
import { ClientClosedError, LockServerUnavailableError } from './errors.ts'
import { IDLE_MS, SILENCE_MS } from './event-connection.ts'
import { Link } from './link.testbed.ts'
import { LockClient } from './lock-client.ts'
import type { Watch } from './watch.ts'

const UNTIL = { timeout: 15_000, interval: 10 }

const startServer = (port: number, options: Partial<LockServerOptions> = {}) =>
  LockServer.start({ host: '127.0.0.1', port, store: new MemoryLockStore(), ...options })

afterEach(() => void vi.useRealTimers())

async function take(watch: Watch, count: number): Promise<WatchEvent[]> {
  const events: WatchEvent[] = []
  while (events.length < count) {
    const { value } = await watch.next()
    if (value === undefined) return events
    events.push(value)
  }
  return events
}

function textsOf(events: readonly WatchEvent[]): string[] {
  return events.map((event) => (event.type === 'missed' ? 'missed' : `${event.type} ${event.key}`))
}

async function touch(locks: LockClient, key: string): Promise<void> {
  await using _lease = await locks.acquire(key)
}

/** Takes a first event, so that the stream is known to stand. */
async function standing(watch: Watch, locks: LockClient, key: string): Promise<void> {
  const told = new AbortController()
  const first = watch.next().then(() => told.abort())
  // Whether it stands is not to be seen from outside: touched until it tells.
  while (!told.signal.aborted) await touch(locks, key)
  await first
}

/** What comes after the touches that `standing` needed. */
async function takeOther(watch: Watch, key: string, count: number): Promise<WatchEvent[]> {
  const events: WatchEvent[] = []
  while (events.length < count) {
    const [event] = await take(watch, 1)
    if (event!.type === 'missed' || event!.key !== key) events.push(event!)
  }
  return events
}

/** A server of events that tells what the test says, and what was asked of it. */
class EventSource implements AsyncDisposable {
  readonly lastEventIds: (string | undefined)[] = []
  readonly responses: ServerResponse[] = []
  closed = 0
  readonly #server = createServer((request, response) => {
    const lastId = request.headers['last-event-id']
    this.lastEventIds.push(Array.isArray(lastId) ? lastId[0] : lastId)
    this.responses.push(response)
    response.once('close', () => this.closed++)
    this.answer(response, this.responses.length)
  })
  answer: (response: ServerResponse, count: number) => void

  constructor(answer: (response: ServerResponse, count: number) => void) {
    this.answer = answer
  }

  async listen(): Promise<string> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close()
    this.#server.closeAllConnections()
    await once(this.#server, 'close')
  }
}

function head(response: ServerResponse): ServerResponse {
  return response.writeHead(200, { 'content-type': 'text/event-stream' })
}

function eventText(id: string, key: string): string {
  return `id: ${id}\nevent: queued\ndata: ${JSON.stringify({ type: 'queued', key, node: 'a' })}\n\n`
}

test.each([
  ['undici', {}],
  ['an injected fetch', { fetch: (...call: Parameters<typeof fetch>) => globalThis.fetch(...call) }],
])('watch() tells what happens to the keys with the prefix, over %s', async (_name, options) => {
  await using bed = await ClientBed.start(startServer)
  const [a, b] = [bed.newClient('a'), bed.newClient('b', options)]
  await using watch = b.watch('mine/')
  await standing(watch, a, 'mine/0')
  await touch(a, 'other')
  const lease = await a.acquire('mine/1')
  await lease.complete({ value: 1 })
  const events = await takeOther(watch, 'mine/0', 2)
  const { fencingToken } = lease
  expect(events).toEqual([
    { type: 'granted', key: 'mine/1', node: 'a', fencingToken, id: expect.any(String) },
    { type: 'completed', key: 'mine/1', node: 'a', fencingToken, id: expect.any(String) },
  ])
  // It needs no session.
  expect((await a.nodes()).map(({ node }) => node)).toEqual(['a'])
})

test('watch() resumes after each cut of its connection, and loses no event', async () => {
  await using bed = await ClientBed.start(startServer)
  await using link = await Link.to(bed.url)
  link.cutAfterMs = 30
  const [a, b] = [bed.newClient('a'), bed.newClient('b', { url: link.url })]
  await using watch = b.watch('k/')
  await standing(watch, a, 'k/0')
  const [keys, seen]: [string[], string[]] = [[], []]
  const reading = (async () => {
    for await (const event of watch) if (event.type !== 'missed' && event.key !== 'k/0') seen.push(...textsOf([event]))
  })()
  for (let round = 0; link.cuts < 4; round++) {
    await touch(a, `k/1-${round}`)
    keys.push(`granted k/1-${round}`, `released k/1-${round}`)
  }
  await vi.waitFor(() => expect(seen).toEqual(keys), UNTIL)
  await watch.return()
  await reading
})

test('watch() says that events were missed when the server has forgotten them', async () => {
  await using bed = await ClientBed.start(startServer)
  const [a, b] = [bed.newClient('a'), bed.newClient('b')]
  await using watch = b.watch()
  await standing(watch, a, 'k')
  await bed.stopServer()
  await bed.restartServer()
  expect(textsOf(await takeOther(watch, 'k', 1))).toEqual(['missed'])
})

test('watch() goes on after the event that lastEventId names', async () => {
  await using bed = await ClientBed.start(startServer)
  const a = bed.newClient('a')
  const first = a.watch('k/')
  await standing(first, a, 'k/0')
  await touch(a, 'k/1')
  const [granted] = await takeOther(first, 'k/0', 1)
  await first.return()
  await touch(a, 'k/2')
  await using second = a.watch('k/', { lastEventId: (granted as { id: string }).id })
  expect(textsOf(await take(second, 3))).toEqual(['released k/1', 'granted k/2', 'released k/2'])
})

test('watch() says that events may be missing where the connection broke before the first one', async () => {
  await using source = new EventSource((response, count) => {
    if (count === 1) head(response).end(': hello\n\n')
    else head(response).write(eventText('b-1', 'k'))
  })
  await using locks = new LockClient({ url: await source.listen() })
  await using watch = locks.watch()
  expect(textsOf(await take(watch, 2))).toEqual(['missed', 'queued k'])
})

test('watch() resumes after an id that came without an event', async () => {
  await using source = new EventSource((response, count) => {
    if (count === 1) head(response).end('id: b-7\n\n')
    else head(response).write(eventText('b-8', 'k'))
  })
  await using locks = new LockClient({ url: await source.listen() })
  await using watch = locks.watch()
  expect(textsOf(await take(watch, 1))).toEqual(['queued k'])
  expect(source.lastEventIds).toEqual([undefined, 'b-7'])
})

test('watch() reads on over what is not an event of a lock server', async () => {
  await using source = new EventSource((response) => {
    head(response).write(`data: nonsense\n\ndata: {"type":"renamed","key":"k"}\n\n:\n\n${eventText('b-1', 'k')}`)
  })
  await using locks = new LockClient({ url: await source.listen() })
  await using watch = locks.watch()
  expect(textsOf(await take(watch, 1))).toEqual(['queued k'])
})

test('watch() takes a connection that is silent for too long for dead, and resumes', async () => {
  await using source = new EventSource((response, count) => head(response).write(eventText(`b-${count}`, `k${count}`)))
  const url = await source.listen()
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  await using locks = new LockClient({ url })
  await using watch = locks.watch()
  await take(watch, 1)
  const second = take(watch, 1)
  // A turn, so that it reads again before time passes.
  await new Promise((resolve) => setImmediate(resolve))
  await vi.advanceTimersByTimeAsync(SILENCE_MS - 1)
  expect(source.closed).toBe(0)
  await vi.advanceTimersByTimeAsync(1)
  await vi.waitFor(() => expect(source.closed).toBe(1), UNTIL)
  await vi.advanceTimersByTimeAsync(1_000)
  vi.useRealTimers()
  expect(textsOf(await second)).toEqual(['queued k2'])
  expect(source.lastEventIds).toEqual([undefined, 'b-1'])
})

test('an iterator that was dropped in mid-loop closes its connection, and resumes when it is taken up again', async () => {
  await using source = new EventSource((response, count) => {
    head(response).write(eventText(`b-${count}`, `k${count}`) + eventText(`c-${count}`, `l${count}`))
  })
  const url = await source.listen()
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  await using locks = new LockClient({ url })
  const watch = locks.watch()
  expect(textsOf(await take(watch, 1))).toEqual(['queued k1'])
  await vi.advanceTimersByTimeAsync(IDLE_MS)
  vi.useRealTimers()
  await vi.waitFor(() => expect(source.closed).toBe(1), UNTIL)
  expect(textsOf(await take(watch, 1))).toEqual(['queued k2'])
  expect(source.lastEventIds).toEqual([undefined, 'b-1'])
})

test('watch() stops reading while its reader is busy', async () => {
  const body = eventText('b-1', 'k'.repeat(500)).repeat(100)
  const total = 200 * 1024 * 1024
  let written = 0
  await using source = new EventSource((response) => {
    const pump = () => {
      while (written < total) {
        written += body.length
        if (!response.write(body)) return
      }
    }
    head(response).on('drain', pump)
    pump()
  })
  await using locks = new LockClient({ url: await source.listen() })
  await using watch = locks.watch()
  await take(watch, 1)
  // Until nothing has moved for a thousand turns of the loop.
  for (let before = -1, still = 0; still < 1_000; still = written === before ? still + 1 : 0) {
    before = written
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect(written).toBeLessThan(total / 2)
  const before = written
  await take(watch, 50_000)
  expect(written).toBeGreaterThan(before)
})

test('leaving the loop closes the connection', async () => {
  await using source = new EventSource((response) => head(response).write(eventText('b-1', 'k')))
  await using locks = new LockClient({ url: await source.listen() })
  for await (const { type } of locks.watch()) {
    expect(type).toBe('queued')
    break
  }
  await vi.waitFor(() => expect(source.closed).toBe(1), UNTIL)
})

test('return() ends a next() that is pending', async () => {
  await using source = new EventSource((response) => head(response).write(': hello\n\n'))
  await using locks = new LockClient({ url: await source.listen() })
  const watch = locks.watch()
  const pending = watch.next()
  await vi.waitFor(() => expect(source.responses).toHaveLength(1), UNTIL)
  await watch.return()
  expect(await pending).toEqual({ done: true, value: undefined })
  expect(await watch.next()).toEqual({ done: true, value: undefined })
  await vi.waitFor(() => expect(source.closed).toBe(1), UNTIL)
})

test('a signal ends watch() with its reason, and closes the connection', async () => {
  await using source = new EventSource((response) => head(response).write(': hello\n\n'))
  await using locks = new LockClient({ url: await source.listen() })
  const controller = new AbortController()
  const pending = locks.watch('', { signal: controller.signal }).next()
  await vi.waitFor(() => expect(source.responses).toHaveLength(1), UNTIL)
  const reason = new Error('enough')
  controller.abort(reason)
  await expect(pending).rejects.toBe(reason)
  await vi.waitFor(() => expect(source.closed).toBe(1), UNTIL)
  await expect(locks.watch('', { signal: controller.signal }).next()).rejects.toBe(reason)
})

test('close() ends watch()', async () => {
  await using source = new EventSource((response) => head(response).write(': hello\n\n'))
  const locks = new LockClient({ url: await source.listen() })
  const pending = locks.watch().next()
  await vi.waitFor(() => expect(source.responses).toHaveLength(1), UNTIL)
  const rejected = pending.catch((reason: unknown) => reason)
  await locks.close()
  expect(await rejected).toBeInstanceOf(ClientClosedError)
  await expect(locks.watch().next()).rejects.toBeInstanceOf(ClientClosedError)
})

test('watch() throws what the server refuses', async () => {
  await using bed = await ClientBed.start((port) => startServer(port, { tokens: ['secret'] }))
  await expect(bed.newClient('a', { token: 'wrong' }).watch().next()).rejects.toMatchObject({ code: 'unauthorized' })
})

test.each([
  ['busy', (response: ServerResponse) => response.writeHead(503).end('<html>busy</html>')],
  ['no lock server', (response: ServerResponse) => response.writeHead(200).end('<html>hello</html>')],
])('watch() waits for a server that is %s, and gives up where it never was one', async (_name, refuse) => {
  await using source = new EventSource((response, count) => {
    if (count < 3) refuse(response)
    else head(response).write(eventText('b-1', 'k'))
  })
  const url = await source.listen()
  await using locks = new LockClient({ url })
  await using watch = locks.watch()
  expect(textsOf(await take(watch, 1))).toEqual(['queued k'])
  source.answer = refuse
  await using hasty = new LockClient({ url, unavailableTimeoutMs: 100 })
  await expect(hasty.watch().next()).rejects.toBeInstanceOf(LockServerUnavailableError)
})

test.each([
  ['prefix', () => new LockClient({ url: 'http://host' }).watch('x'.repeat(513))],
  ['lastEventId', () => new LockClient({ url: 'http://host' }).watch('', { lastEventId: 'a\nb' })],
])('watch() refuses a %s that is not allowed', (name, watching) => {
  expect(watching).toThrow(new RegExp(`^${name}: expected`))
})
