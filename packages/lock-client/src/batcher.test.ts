import { expect, test } from 'vitest'
import { LockServer, MemoryLockStore } from '../../lock-server/src/index.ts'
import { ClientBed } from './client.testbed.ts'
import { LeaseLostError, LockServerUnavailableError } from './errors.ts'
import { LockApi } from './lock-api.ts'
import type { TransportRequest } from './transport.ts'

const startServer = (port: number) => LockServer.start({ host: '127.0.0.1', port, store: new MemoryLockStore() })

/** The API over a transport that answers batches with what the test says. */
function apiOver(answer: (ops: { op: string; key: string }[]) => unknown) {
  const sent: TransportRequest[] = []
  const transport = {
    send: (request: TransportRequest) => {
      sent.push(request)
      const { ops } = JSON.parse(request.body ?? '{}') as { ops?: { op: string; key: string }[] }
      const text = JSON.stringify(ops === undefined ? { ok: true } : answer(ops))
      return Promise.resolve({ status: 200, retryAfter: undefined, text })
    },
    stream: () => Promise.reject(new Error('nothing is streamed here')),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
  return { sent, api: new LockApi({ url: 'http://host', tryTimeoutMs: 5_000, transport }) }
}

const ok = (ops: object[]) => ({ answers: ops.map(() => ({ ok: true })) })
const release = (key: string, sessionId = 's') => ({ key, sessionId, body: { fencingToken: 1 } })

test('operations of one tick go out as one request, each with its own answer', async () => {
  const { api, sent } = apiOver((ops) => ({ answers: ops.map(({ key }) => (key === 'k2' ? LOST : { ok: true })) }))
  const results = await Promise.allSettled(['k1', 'k2', 'k3'].map((key) => api.call('release', release(key))))
  expect(sent.map(({ method, url }) => `${method} ${url}`)).toEqual(['POST http://host/v1/batch'])
  expect(sent[0]?.body).toBe(
    '{"ops":[{"op":"release","key":"k1","fencingToken":1},{"op":"release","key":"k2","fencingToken":1},' +
      '{"op":"release","key":"k3","fencingToken":1}]}',
  )
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  expect(results[1]).toMatchObject({ reason: { code: 'lease_lost', message: 'gone', key: 'k2' } })
  expect((results[1] as PromiseRejectedResult).reason).toBeInstanceOf(LeaseLostError)
})

test.each(['session_expired', 'lease_lost', 'not_found', 'overloaded', 'broken'])(
  'a key whose work has failed with the code %s is an answer in a batch, not a refusal',
  async (code) => {
    const failed = { status: 'failed', error: { code, message: 'said the work' }, attempts: 3, retryAfterMs: 0 }
    const { api } = apiOver(() => ({ answers: [failed, { status: 'granted', fencingToken: 1, attempt: 1 }] }))
    const wish = (key: string) => ({ key, sessionId: 's', body: { ticket: key } })
    const answers = await Promise.all([api.call('acquire', wish('a')), api.call('acquire', wish('b'))])
    expect(answers).toMatchObject([failed, { status: 'granted' }])
  },
)

const LOST = { error: { code: 'lease_lost', message: 'gone' } }

test('a lone operation, one that waits, and one of another session go out by themselves', async () => {
  const { api, sent } = apiOver(ok)
  await api.call('release', release('k'))
  const wish = { key: 'k', sessionId: 's', body: { ticket: 't', waitMs: 5 }, parkedMs: 5 }
  const others = [api.call('acquire', wish), api.call('release', release('k')), api.call('release', release('k', 'z'))]
  await Promise.allSettled(others)
  expect(sent.map(({ url }) => url.slice('http://host/v1/'.length)).toSorted()).toEqual([
    'locks/k/acquire',
    'locks/k/release',
    'locks/k/release',
    'locks/k/release',
  ])
})

test('many operations go out as several requests, in their order, none larger than the server takes', async () => {
  const { api, sent } = apiOver(ok)
  const keys = Array.from({ length: 1_200 }, (_, index) => `k${index}`)
  await Promise.all(keys.map((key) => api.call('release', release(key))))
  const batches = sent.map(({ body }) => (JSON.parse(body!) as { ops: { key: string }[] }).ops)
  expect(batches.map((ops) => ops.length)).toEqual([256, 256, 256, 256, 176])
  expect(batches.flat().map(({ key }) => key)).toEqual(keys)
})

test('large values are spread over batches that the server takes', async () => {
  const { api, sent } = apiOver(ok)
  const body = { fencingToken: 1, value: 'x'.repeat(60_000) }
  await Promise.all(['a', 'b', 'c', 'd', 'e', 'f'].map((key) => api.call('complete', { key, sessionId: 's', body })))
  expect(sent.length).toBe(2)
  expect(Math.max(...sent.map((request) => request.body!.length))).toBeLessThan(300_000)
})

test('a value that cannot be written as JSON fails its own operation alone', async () => {
  const { api, sent } = apiOver(ok)
  const bad = api.call('complete', { key: 'k', sessionId: 's', body: { fencingToken: 1, value: 1n } })
  const good = [api.call('release', release('a')), api.call('release', release('b'))]
  await expect(bad).rejects.toBeInstanceOf(TypeError)
  await expect(Promise.all(good)).resolves.toEqual([{ ok: true }, { ok: true }])
  expect(sent).toHaveLength(1)
})

test('an operation that is aborted rejects at once, and the others are answered', async () => {
  const { api } = apiOver(ok)
  const reason = new Error('enough')
  const controller = new AbortController()
  const aborted = api.call('release', { ...release('a'), signal: controller.signal })
  const other = api.call('release', { ...release('b'), signal: new AbortController().signal })
  controller.abort(reason)
  await expect(aborted).rejects.toBe(reason)
  await expect(other).resolves.toEqual({ ok: true })
  await expect(api.call('release', { ...release('a'), signal: controller.signal })).rejects.toBe(reason)
})

test.each([
  ['too few answers', () => ({ answers: [{ ok: true }] })],
  ['no answers', () => ({})],
  ['answers of another kind', () => ({ answers: [{ status: 'granted' }, 'x'] })],
])('a batch with %s is not believed', async (_what, answer) => {
  const { api } = apiOver(answer)
  const results = await Promise.allSettled([api.call('release', release('a')), api.call('release', release('b'))])
  for (const result of results) {
    expect((result as PromiseRejectedResult).reason).toBeInstanceOf(LockServerUnavailableError)
  }
})

test('many acquires at once take a few requests of a real server, and each gets its own lease', async () => {
  let requests = 0
  const counted: typeof fetch = (...call) => {
    requests++
    return fetch(...call)
  }
  await using bed = await ClientBed.start(startServer)
  const locks = bed.newClient('a', { fetch: counted })
  const keys = Array.from({ length: 100 }, (_, index) => `k${index}`)
  const leases = await Promise.all(keys.map((key) => locks.acquire(key)))
  expect(leases.map(({ key }) => key)).toEqual(keys)
  expect(new Set(leases.map(({ fencingToken }) => fencingToken)).size).toBe(100)
  await Promise.all(leases.map((lease) => lease.release()))
  // The session, the acquires and the releases.
  expect(requests).toBeLessThanOrEqual(1 + 4 + 4)
})
