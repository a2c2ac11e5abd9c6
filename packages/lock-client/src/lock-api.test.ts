import { expect, test } from 'vitest'
import { LeaseLostError, LockError, LockServerUnavailableError, SessionExpiredError } from './errors.ts'
import { TryTimeoutError } from './exchange.ts'
import { LockApi } from './lock-api.ts'
import type { TransportRequest, TransportResponse } from './transport.ts'

type Answering = (request: TransportRequest) => Promise<Partial<TransportResponse>>

/** The API over a transport that answers what the test says, and what was sent over it. */
function apiOver(answering: Answering, options: { url?: string; tryTimeoutMs?: number; token?: string } = {}) {
  const sent: TransportRequest[] = []
  const transport = {
    send: async (request: TransportRequest) => {
      sent.push(request)
      return { status: 200, retryAfter: undefined, text: '{"ok":true}', ...(await answering(request)) }
    },
    stream: () => Promise.reject(new Error('nothing is streamed here')),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
  return { sent, api: new LockApi({ url: 'http://host', tryTimeoutMs: 5_000, transport, ...options }) }
}

function refusing(status: number, body: unknown, retryAfter?: string) {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  return apiOver(() => Promise.resolve({ status, text, retryAfter })).api
}

const release = { key: 'k', sessionId: 's', body: { fencingToken: 1 } }

test('call() sends method, path, token, session and body', async () => {
  const { api, sent } = apiOver(() => Promise.resolve({}), { url: 'http://host/base/', token: 'secret' })
  await api.call('release', { ...release, key: 'a/b c?' })
  expect(sent).toMatchObject([
    {
      method: 'POST',
      url: 'http://host/base/v1/locks/a%2Fb%20c%3F/release',
      body: '{"fencingToken":1}',
      headers: { authorization: 'Bearer secret', 'layerlock-session': 's', 'content-type': 'application/json' },
    },
  ])
})

test('call() leaves out what a query does not name', async () => {
  const { api, sent } = apiOver(() => Promise.resolve({ text: '{"forgotten":false}' }))
  await api.call('forget', { key: 'k', query: { ifToken: undefined } })
  await api.call('forget', { key: 'k', query: { ifToken: 7 } })
  expect(sent.map(({ url }) => url)).toEqual([
    'http://host/v1/locks/k/outcome',
    'http://host/v1/locks/k/outcome?ifToken=7',
  ])
  expect(sent[0]).toMatchObject({ body: undefined, headers: {} })
})

test.each([
  ['lease_lost', 409, LeaseLostError, false],
  ['session_expired', 410, SessionExpiredError, false],
  ['invalid_request', 400, LockError, false],
  ['queue_full', 429, LockError, true],
  ['overloaded', 503, LockError, true],
])('call() makes of %s the error that goes with it', async (code, status, type, retryable) => {
  const api = refusing(status, { error: { code, message: 'because', more: 1 } })
  const error: unknown = await api.call('release', release).catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(type)
  expect(error).toMatchObject({ code, message: 'because', key: 'k', retryable })
})

test('call() reads Retry-After in seconds, and nothing else', async () => {
  const body = { error: { code: 'overloaded', message: '' } }
  await expect(refusing(503, body, '7').call('release', release)).rejects.toMatchObject({ retryAfterMs: 7_000 })
  for (const wrong of ['soon', '-1', '1.5', 'Wed, 21 Oct 2026 07:28:00 GMT']) {
    await expect(refusing(503, body, wrong).call('release', release)).rejects.toMatchObject({ retryAfterMs: undefined })
  }
  await expect(refusing(502, '<html>', '2').call('release', release)).rejects.toMatchObject({ retryAfterMs: 2_000 })
})

test('call() takes an error that is not one of a lock server for one in between', async () => {
  for (const body of ['<html>Bad Gateway</html>', {}, { error: 'no' }, { error: { code: 'toString', message: '' } }]) {
    await expect(refusing(502, body).call('release', release)).rejects.toBeInstanceOf(LockServerUnavailableError)
  }
})

test('call() does not believe an answer that is not what the route promises', async () => {
  for (const text of ['', 'nonsense', '[]', '{}', '{"ok":false}', '<html></html>']) {
    const { api } = apiOver(() => Promise.resolve({ text }))
    await expect(api.call('release', release)).rejects.toThrow('the answer to release is not one of a lock server')
  }
})

test('call() says that the server cannot be reached, with the cause', async () => {
  const cause = new Error('ECONNREFUSED')
  const { api } = apiOver(() => Promise.reject(cause))
  await expect(api.call('release', release)).rejects.toMatchObject({
    code: 'unavailable',
    message: 'the lock server http://host cannot be reached',
    cause,
  })
})

/** Never answers; rejects when it is aborted, as transports do. */
const silent: Answering = ({ signal, timeoutMs }) =>
  new Promise((_resolve, reject) => {
    setTimeout(() => reject(new TryTimeoutError('silence')), timeoutMs)
    signal?.addEventListener('abort', () => reject(signal.reason as Error))
  })

test('call() gives up a try that takes too long, not counting the time that it is parked', async () => {
  const { api } = apiOver(silent, { tryTimeoutMs: 10 })
  await expect(api.call('release', release)).rejects.toThrow('gave no answer within 10 ms')
  await expect(api.call('release', { ...release, parkedMs: 20 })).rejects.toThrow('gave no answer within 30 ms')
  await expect(api.call('release', { ...release, tryTimeoutMs: 5 })).rejects.toThrow('gave no answer within 5 ms')
})

test("call() throws the caller's own reason when it was aborted", async () => {
  const reason = new Error('enough')
  const { api } = apiOver(silent)
  const controller = new AbortController()
  const call = api.call('release', { ...release, signal: controller.signal })
  controller.abort(reason)
  await expect(call).rejects.toBe(reason)
})

test('call() does not blame the server for a body that cannot be written as JSON', async () => {
  const { api, sent } = apiOver(() => Promise.resolve({}))
  const body = { fencingToken: 1, value: 1n }
  await expect(api.call('complete', { key: 'k', body })).rejects.toBeInstanceOf(TypeError)
  expect(sent).toEqual([])
})
