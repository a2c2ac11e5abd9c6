import { setImmediate } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { LockService } from '../service/lock-service.ts'
import { MemoryLockStore } from '../store/memory-lock-store.ts'
import { HttpBed } from './http.testbed.ts'

interface SentEvent {
  readonly id: string | undefined
  readonly event: string | undefined
  readonly data: unknown
}

/** Reads a stream of Server-Sent Events until this many have come. */
async function readEvents(response: Response, count: number, events: SentEvent[] = []): Promise<SentEvent[]> {
  let text = ''
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk
    const blocks = text.split('\n\n')
    text = blocks.pop()!
    events.push(...blocks.filter((block) => /^data:/m.test(block)).map(parseEvent))
    if (events.length >= count) return events
  }
  return events
}

function parseEvent(block: string): SentEvent {
  const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1]
  return { id: field('id'), event: field('event'), data: JSON.parse(field('data')!) }
}

async function watch(bed: HttpBed, query = '', headers: Record<string, string> = {}): Promise<Response> {
  const response = await fetch(`${bed.url}/v1/events${query}`, { headers })
  expect(response.headers.get('content-type')).toBe('text/event-stream')
  return response
}

async function acquireAndRelease(bed: HttpBed, session: string, ticket: string, key: string): Promise<void> {
  const { body } = await bed.acquire(session, ticket, {}, key)
  await bed.call('POST', `/v1/locks/${key}/release`, { session, body: { fencingToken: body['fencingToken'] } })
}

test('GET /v1/events tells the life of a key in its order', async () => {
  await using bed = await HttpBed.start()
  const [a, b] = [await bed.session('a'), await bed.session('b')]
  const stream = await watch(bed)
  const { body } = await bed.acquire(a, 'a1')
  await bed.acquire(b, 'b1')
  const failure = { fencingToken: body['fencingToken'], error: { code: 'broken', message: 'no luck' } }
  await bed.call('POST', '/v1/locks/k/fail', { session: a, body: failure })
  const granted = await bed.acquire(b, 'b1')
  await bed.call('POST', '/v1/locks/k/complete', { session: b, body: { fencingToken: granted.body['fencingToken'] } })
  await bed.call('DELETE', '/v1/locks/k/outcome')
  const events = await readEvents(stream, 6)
  expect(events.map(({ data }) => data)).toEqual([
    { type: 'granted', key: 'k', node: 'a', fencingToken: body['fencingToken'] },
    { type: 'queued', key: 'k', node: 'b' },
    { type: 'failed', key: 'k', node: 'a', fencingToken: body['fencingToken'], error: failure.error },
    { type: 'granted', key: 'k', node: 'b', fencingToken: granted.body['fencingToken'] },
    { type: 'completed', key: 'k', node: 'b', fencingToken: granted.body['fencingToken'] },
    { type: 'forgotten', key: 'k', fencingToken: granted.body['fencingToken'] },
  ])
  expect(events.map(({ event }) => event)).toEqual(events.map(({ data }) => (data as { type: string }).type))
})

test('GET /v1/events tells of an outcome that a copy made', async () => {
  await using bed = await HttpBed.start()
  const a = await bed.session('a')
  const stream = await watch(bed)
  await bed.call('POST', '/v1/copies', { session: a, body: { add: ['blob/1'] } })
  expect((await readEvents(stream, 1))[0]?.data).toMatchObject({ type: 'completed', key: 'blob/1', node: 'a' })
})

test('GET /v1/events tells only of keys with the prefix', async () => {
  await using bed = await HttpBed.start()
  const a = await bed.session('a')
  const stream = await watch(bed, '?prefix=mine/')
  await acquireAndRelease(bed, a, 't1', 'other')
  await acquireAndRelease(bed, a, 't2', 'mine%2F1')
  const events = await readEvents(stream, 2)
  expect(events.map(({ data }) => (data as { key: string }).key)).toEqual(['mine/1', 'mine/1'])
})

test('GET /v1/events resumes after the event that `Last-Event-ID` names, and loses none', async () => {
  await using bed = await HttpBed.start()
  const a = await bed.session('a')
  const stream = await watch(bed)
  await acquireAndRelease(bed, a, 't1', 'first')
  const [, last] = await readEvents(stream, 2)
  await acquireAndRelease(bed, a, 't2', 'second')
  const resumed = await watch(bed, '', { 'last-event-id': last!.id! })
  await acquireAndRelease(bed, a, 't3', 'third')
  const events = await readEvents(resumed, 4)
  expect(events.map(({ data }) => (data as { key: string }).key)).toEqual(['second', 'second', 'third', 'third'])
})

/** A server over a log that the test fills. */
async function bedOverLog() {
  const service = await LockService.open({ store: new MemoryLockStore() })
  const bed = await HttpBed.over(service)
  const append = (from: number, to: number, key = 'k') => {
    for (let token = from; token < to; token++) {
      const error = { code: 'c', message: 'm'.repeat(1_000) }
      service.events.append({ type: 'failed', key, fencingToken: token, error })
    }
  }
  const [bedStack, log] = [new AsyncDisposableStack(), service.events]
  bedStack.use(service)
  bedStack.use(bed)
  return { bed, append, log, [Symbol.asyncDispose]: () => bedStack.disposeAsync() }
}

const tokensOf = (events: readonly SentEvent[]) =>
  events.map(({ data }) => (data as { fencingToken?: number }).fencingToken)
const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index)

test('GET /v1/events replays more than a connection takes at once, and what happens meanwhile behind it', async () => {
  await using world = await bedOverLog()
  const start = world.log.idAt(0)
  world.append(1, 9_000)
  const resumed = await watch(world.bed, '', { 'last-event-id': start })
  world.append(9_000, 9_500)
  expect(tokensOf(await readEvents(resumed, 9_499))).toEqual(numbers(1, 9_500))
})

test('GET /v1/events tells a reader that fell out of the log so, and goes on from there', async () => {
  await using world = await bedOverLog()
  const stream = await watch(world.bed)
  // More than the sockets hold for a reader that does not read, and than the log keeps.
  for (let from = 1; from < 60_000; from += 1_000) {
    world.append(from, from + 1_000)
    await setImmediate()
  }
  const events: SentEvent[] = []
  const reading = readEvents(stream, 1_000_000, events)
  await vi.waitFor(() => expect(events.some(({ event }) => event === 'missed')).toBe(true), { timeout: 15_000 })
  world.append(99_999, 100_000)
  await vi.waitFor(() => expect(tokensOf(events).at(-1)).toBe(99_999), { timeout: 15_000 })
  const tokens = tokensOf(events).filter((token) => token !== undefined)
  expect(tokens).toEqual(tokens.toSorted((a, b) => a - b))
  await world.bed[Symbol.asyncDispose]()
  await reading.catch(() => undefined)
})

test('GET /v1/events gives an id before the first event, from which nothing is lost', async () => {
  await using world = await bedOverLog()
  world.append(1, 3)
  const beginning = async (headers: Record<string, string> = {}) => {
    const { value } = await (await watch(world.bed, '?prefix=other', headers)).body!.getReader().read()
    return new TextDecoder().decode(value)
  }
  expect(await beginning()).toBe(`: hello\nid: ${world.log.idAt(2)}\n\n`)
  const known = world.log.idAt(1)
  expect(await beginning({ 'last-event-id': known })).toBe(`: hello\nid: ${known}\n\n`)
  const resumed = await watch(world.bed, '', { 'last-event-id': world.log.idAt(2) })
  world.append(3, 4)
  expect(tokensOf(await readEvents(resumed, 1))).toEqual([3])
})

test.each(['nonsense', 'deadbeef-5', '-1'])('GET /v1/events says that events are missing after %s', async (id) => {
  await using bed = await HttpBed.start()
  const resumed = await watch(bed, '', { 'last-event-id': id })
  expect(await readEvents(resumed, 1)).toEqual([{ id: undefined, event: 'missed', data: {} }])
})
