import { delay, http, HttpResponse } from 'msw'
import { setupServer } from 'msw/node'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import {
  LeaseLostError,
  LockError,
  LockFailedError,
  LockServerUnavailableError,
  LockTimeoutError,
  SessionExpiredError,
} from './errors.ts'
import { LockClient } from './lock-client.ts'

const URL = 'http://lock-server.invalid'
const ACQUIRE = `${URL}/v1/locks/:key/acquire`
const RECORD = `${URL}/v1/locks/:key`

const server = setupServer()
beforeAll(() => server.listen({ onUnhandledFrame: 'error' }))
afterEach(() => server.resetHandlers())
afterAll(() => server.close())

const session = { id: 'session-1', ttlMs: 600_000, resumed: false }
const record = { key: 'k', state: 'free', limit: 1, holders: [], queue: [] }

/** A client whose calls msw answers: msw intercepts the global `fetch` as it is at the time of the call. */
function client(options: { tryTimeoutMs?: number; unavailableTimeoutMs?: number } = {}): LockClient {
  server.use(
    http.post(`${URL}/v1/sessions`, () => HttpResponse.json(session, { status: 201 })),
    http.post(`${URL}/v1/sessions/renew`, () => HttpResponse.json({ ttlMs: session.ttlMs })),
    http.delete(`${URL}/v1/sessions`, () => new HttpResponse(null, { status: 204 })),
    http.post(`${URL}/v1/locks/:key/:op`, () => HttpResponse.json({ ok: true })),
  )
  return new LockClient({ url: URL, fetch: (...call) => globalThis.fetch(...call), ...options })
}

function refusal(code: string, status: number, headers: Record<string, string> = {}) {
  return HttpResponse.json({ error: { code, message: `it says ${code}` } }, { status, headers })
}

async function thrown(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
}

test('a grant that msw answers is a lease', async () => {
  await using locks = client()
  server.use(http.post(ACQUIRE, () => HttpResponse.json({ status: 'granted', fencingToken: 7, attempt: 1 })))
  expect(await locks.acquire('k')).toMatchObject({ fencingToken: 7, held: true })
})

test.each([
  ['invalid_request', 400, LockError],
  ['unauthorized', 401, LockError],
  ['forbidden', 403, LockError],
  ['not_found', 404, LockError],
  ['limit_mismatch', 409, LockError],
  ['in_use', 409, LockError],
  ['too_large', 413, LockError],
])('a refusal with %s is thrown as LockError with that code, and not tried again', async (code, status, kind) => {
  await using locks = client()
  let calls = 0
  server.use(
    http.post(ACQUIRE, () => {
      calls++
      return refusal(code, status)
    }),
  )
  const error = await thrown(locks.acquire('k'))
  expect(error).toBeInstanceOf(kind)
  expect(error).toMatchObject({ code, key: 'k', message: `it says ${code}`, retryable: false })
  expect(calls).toBe(1)
})

test('lease_lost at the end of a lease is thrown as LeaseLostError', async () => {
  await using locks = client()
  server.use(
    http.post(ACQUIRE, () => HttpResponse.json({ status: 'granted', fencingToken: 7, attempt: 1 })),
    http.post(`${URL}/v1/locks/:key/complete`, () => refusal('lease_lost', 409)),
  )
  const lease = await locks.acquire('k')
  expect(await thrown(lease.complete())).toBeInstanceOf(LeaseLostError)
  expect(lease.signal.aborted).toBe(true)
})

test('session_expired at renew() is thrown as SessionExpiredError', async () => {
  await using locks = client()
  await locks.connect()
  server.use(http.post(`${URL}/v1/sessions/renew`, () => refusal('session_expired', 410)))
  expect(await thrown(locks.renew())).toBeInstanceOf(SessionExpiredError)
})

test('a remembered failure is thrown as LockFailedError', async () => {
  await using locks = client()
  const failure = { error: { code: 'broken', message: 'no luck' }, attempts: 3, retryAfterMs: 10_000 }
  server.use(http.post(ACQUIRE, () => HttpResponse.json({ status: 'failed', ...failure })))
  const error = await thrown(locks.once('k', () => Promise.resolve(1)))
  expect(error).toBeInstanceOf(LockFailedError)
  expect(error).toMatchObject(failure)
})

test.each([
  ['overloaded', 503],
  ['queue_full', 429],
])('%s is tried again, after Retry-After', async (code, status) => {
  await using locks = client()
  const times: number[] = []
  server.use(
    http.get(RECORD, () => {
      times.push(performance.now())
      return times.length === 1 ? refusal(code, status, { 'retry-after': '1' }) : HttpResponse.json(record)
    }),
  )
  expect(await locks.poll('k')).toMatchObject({ state: 'free' })
  expect(times).toHaveLength(2)
  // A promise of the client, not a measure: it must not come back earlier.
  expect(times[1]! - times[0]!).toBeGreaterThanOrEqual(999)
})

test('a Retry-After beyond unavailableTimeoutMs is told at once', async () => {
  await using locks = client({ unavailableTimeoutMs: 1_000 })
  server.use(http.get(RECORD, () => refusal('overloaded', 503, { 'retry-after': '60' })))
  expect(await thrown(locks.poll('k'))).toMatchObject({ code: 'overloaded', retryAfterMs: 60_000, retryable: true })
})

test.each([
  ['the page of a load balancer', () => HttpResponse.html('<h1>502 Bad Gateway</h1>', { status: 502 })],
  ['a page where an answer should be', () => HttpResponse.html('<h1>Welcome</h1>')],
  ['malformed JSON', () => new HttpResponse('{"key": "k', { headers: { 'content-type': 'application/json' } })],
  ['JSON of another kind', () => HttpResponse.json({ hello: 'world' })],
  ['a refusal with an unknown code', () => refusal('moon_phase', 418)],
  ['a connection that breaks', () => HttpResponse.error()],
])('%s is LockServerUnavailableError, and tried again before', async (_what, answer) => {
  await using locks = client()
  let calls = 0
  server.use(http.get(RECORD, () => (++calls === 1 ? answer() : HttpResponse.json(record))))
  expect(await locks.poll('k')).toMatchObject({ state: 'free' })
  await using hasty = client({ unavailableTimeoutMs: 0 })
  server.use(http.get(RECORD, answer))
  const error = await thrown(hasty.poll('k'))
  expect(error).toBeInstanceOf(LockServerUnavailableError)
  expect(error).toMatchObject({ code: 'unavailable', retryable: true, key: 'k' })
})

test('an answer that hangs is LockServerUnavailableError after tryTimeoutMs, or LockTimeoutError after timeoutMs', async () => {
  await using locks = client({ tryTimeoutMs: 50, unavailableTimeoutMs: 0 })
  server.use(http.get(RECORD, () => delay('infinite').then(() => HttpResponse.json(record))))
  expect(await thrown(locks.poll('k'))).toBeInstanceOf(LockServerUnavailableError)
  expect(await thrown(locks.wait('k', { timeoutMs: 30 }))).toBeInstanceOf(LockTimeoutError)
})

test('watch() reads a stream that msw answers', async () => {
  await using locks = client()
  const event = { type: 'granted', key: 'k', node: 'a', fencingToken: 1 }
  const text = `id: b-1\nevent: granted\ndata: ${JSON.stringify(event)}\n\n`
  server.use(
    http.get(`${URL}/v1/events`, () => new HttpResponse(text, { headers: { 'content-type': 'text/event-stream' } })),
  )
  await using watch = locks.watch()
  expect(await watch.next()).toEqual({ done: false, value: { ...event, id: 'b-1' } })
})
