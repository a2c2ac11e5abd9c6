import { expect, test } from 'vitest'
import { HttpBed } from './http.testbed.ts'

interface SentEvent {
  readonly id: string | undefined
  readonly event: string | undefined
  readonly data: unknown
}

/** Reads a stream of Server-Sent Events until this many have come. */
async function readEvents(response: Response, count: number): Promise<SentEvent[]> {
  const events: SentEvent[] = []
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

test.each(['nonsense', 'deadbeef-5', '-1'])('GET /v1/events says that events are missing after %s', async (id) => {
  await using bed = await HttpBed.start()
  const resumed = await watch(bed, '', { 'last-event-id': id })
  expect(await readEvents(resumed, 1)).toEqual([{ id: undefined, event: 'missed', data: {} }])
})
