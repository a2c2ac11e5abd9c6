import { expect, test, vi } from 'vitest'
import { HttpBed } from './http.testbed.ts'

type Samples = Readonly<Record<string, number>>

/** What `/metrics` says, by name with labels. */
async function scrape(bed: HttpBed): Promise<Samples> {
  const response = await fetch(`${bed.url}/metrics`)
  expect(response.headers.get('content-type')).toContain('text/plain; version=0.0.4')
  const lines = (await response.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return Object.fromEntries(
    lines.map((line) => {
      const space = line.lastIndexOf(' ')
      return [line.slice(0, space).replace('layerlock_server_', ''), Number(line.slice(space + 1))]
    }),
  )
}

const count = (samples: Samples, route: string, method = 'POST') =>
  samples[`request_duration_seconds_count{method="${method}",route="${route}"}`]

test('GET /metrics counts calls by method, route and status, and what no route is as one', async () => {
  await using bed = await HttpBed.start()
  const session = await bed.session('a')
  for (const key of ['one', 'two', 'three']) await bed.acquire(session, 't', {}, key)
  await bed.acquire('nobody', 't')
  await bed.call('GET', '/v1/locks/one')
  for (const path of ['/x', '/y']) await bed.call('PUT', path, { body: {} })
  const samples = await scrape(bed)
  expect(samples).toMatchObject({
    'requests_total{method="POST",route="/v1/sessions",status="201"}': 1,
    'requests_total{method="POST",route="/v1/locks/{key}/acquire",status="200"}': 3,
    'requests_total{method="POST",route="/v1/locks/{key}/acquire",status="410"}': 1,
    'requests_total{method="GET",route="/v1/locks/{key}",status="200"}': 1,
    'requests_total{method="any",route="none",status="404"}': 2,
  })
  // Names of keys, and whatever else callers make up, would be new series for ever.
  expect(Object.keys(samples).filter((name) => /three|"\/x"|PUT/.test(name))).toEqual([])
})

test('GET /metrics leaves calls that asked to wait, and streams, out of the durations', async () => {
  await using bed = await HttpBed.start()
  const session = await bed.session('a')
  const { fencingToken } = (await bed.acquire(session, 't1')).body
  await bed.acquire(session, 't2', { waitMs: 1 })
  await bed.call('GET', '/v1/locks/k?waitMs=1')
  await bed.call('GET', '/v1/locks/k')
  await bed.call('POST', '/v1/sessions/renew', { session, body: { waitMs: 1 } })
  await bed.call('POST', '/v1/locks/k/release', { session, body: { fencingToken } })
  const stream = await fetch(`${bed.url}/v1/events`)
  await stream.body?.cancel()
  const samples = await scrape(bed)
  expect(count(samples, '/v1/locks/{key}/acquire')).toBe(1)
  expect(count(samples, '/v1/locks/{key}', 'GET')).toBe(1)
  expect(count(samples, '/v1/sessions/renew')).toBeUndefined()
  expect(count(samples, '/v1/events', 'GET')).toBeUndefined()
  expect(samples['requests_total{method="POST",route="/v1/sessions/renew",status="200"}']).toBe(1)
  const sum = samples['request_duration_seconds_sum{method="POST",route="/v1/locks/{key}/acquire"}']
  expect(sum).toBeGreaterThan(0)
})

test('GET /metrics counts streams when they end, and those that were refused', async () => {
  await using bed = await HttpBed.start({ legacy: { retainMs: 60_000, holdMs: 60_000 } })
  for (const path of ['/v1/events', '/v1/events', '/lock/subscribe?type=pull&resource_id=r']) {
    const stream = await fetch(`${bed.url}${path}`)
    await stream.body?.cancel()
  }
  await bed.call('GET', '/v1/events?colour=red')
  await bed.call('GET', '/lock/subscribe')
  await vi.waitFor(async () =>
    expect(await scrape(bed)).toMatchObject({
      'requests_total{method="GET",route="/v1/events",status="200"}': 2,
      'requests_total{method="GET",route="/v1/events",status="400"}': 1,
      'requests_total{method="GET",route="/lock/subscribe",status="200"}': 1,
      'requests_total{method="GET",route="/lock/subscribe",status="400"}': 1,
    }),
  )
})

test('HEAD on a stream is answered: there is no such call', async () => {
  await using bed = await HttpBed.start({ legacy: { retainMs: 60_000, holdMs: 60_000 } })
  const paths = ['/v1/events', '/lock/subscribe?type=pull&resource_id=r']
  const answers = await Promise.all(paths.map((path) => fetch(bed.url + path, { method: 'HEAD' })))
  expect(answers.map(({ status }) => status)).toEqual([404, 404])
})

test('GET /metrics counts what acquire answers, in batches too', async () => {
  await using bed = await HttpBed.start()
  const session = await bed.session('a')
  const { fencingToken } = (await bed.acquire(session, 't1')).body
  await bed.acquire(session, 't2', { enqueue: false })
  await bed.acquire(session, 't3', { limit: 2 })
  const ops = [
    { op: 'acquire', key: 'k', ticket: 't4' },
    { op: 'acquire', key: 'other', ticket: 't5' },
    { op: 'complete', key: 'k', fencingToken },
    { op: 'acquire', key: 'k', ticket: '' },
  ]
  await bed.call('POST', '/v1/batch', { session, body: { ops } })
  await bed.acquire(session, 't6')
  expect(await scrape(bed)).toMatchObject({
    'acquires_total{status="granted"}': 2,
    'acquires_total{status="queued"}': 1,
    'acquires_total{status="busy"}': 1,
    'acquires_total{status="done"}': 1,
    'acquires_total{status="failed"}': 0,
  })
})

test('GET /metrics tells what there is now, and what has happened', async () => {
  await using bed = await HttpBed.start()
  const [a, b] = [await bed.session('a'), await bed.session('b')]
  await bed.acquire(a, 't1')
  await bed.acquire(b, 't1')
  await bed.call('POST', '/v1/copies', { session: a, body: { add: ['blob/1', 'blob/2'] } })
  const parked = bed.acquire(b, 't1', { waitMs: 20_000 })
  const stream = await fetch(`${bed.url}/v1/events`)
  await vi.waitFor(async () => expect(await scrape(bed)).toMatchObject({ parked_calls: 1 }))
  expect(await scrape(bed)).toMatchObject({
    sessions: 2,
    sessions_opened_total: 2,
    sessions_expired_total: 0,
    keys: 3,
    holds: 1,
    waiters: 1,
    outcomes: 2,
    copies: 2,
    event_readers: 1,
    'events_total{type="granted"}': 1,
    'events_total{type="queued"}': 1,
    'events_total{type="completed"}': 2,
  })
  await bed.call('DELETE', '/v1/sessions', { session: a })
  expect((await parked).body).toMatchObject({ status: 'granted' })
  await stream.body?.cancel()
  await vi.waitFor(async () => expect(await scrape(bed)).toMatchObject({ event_readers: 0, parked_calls: 0 }))
  expect(await scrape(bed)).toMatchObject({ sessions: 1, sessions_opened_total: 2, copies: 0, outcomes: 0, waiters: 0 })
})

test('GET /metrics counts sessions that end by themselves', async () => {
  await using bed = await HttpBed.start()
  await bed.session('a', { ttlMs: 1_000 })
  await vi.waitFor(async () => expect(await scrape(bed)).toMatchObject({ sessions: 0, sessions_expired_total: 1 }), {
    timeout: 15_000,
  })
})

test('GET /metrics keeps two servers of one process apart, and tells of the process in both', async () => {
  await using first = await HttpBed.start()
  await using second = await HttpBed.start()
  await first.session('a')
  const [one, two] = [await scrape(first), await scrape(second)]
  expect([one['sessions'], two['sessions']]).toEqual([1, 0])
  for (const samples of [one, two]) expect(samples['process_resident_memory_bytes']).toBeGreaterThan(0)
})
