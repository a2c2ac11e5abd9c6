/* eslint-disable vitest/expect-expect, vitest/no-standalone-expect -- a function of its own holds what most tests expect */
import { ROUTES } from '@layerlock/protocol'
import { Compile } from 'typebox/schema'
import { expect, test } from 'vitest'
import { type Answer, HttpBed } from './http.testbed.ts'

/** Expects an answer to be what the route promises. */
function expectAnswer(name: keyof typeof ROUTES, { status, body }: Answer): void {
  const route = ROUTES[name]
  expect(status).toBe(route.status)
  expect('answer' in route ? Compile(route.answer).Check(body) : Object.keys(body).length === 0).toBe(true)
}

test('the lock server answers every call as its route promises', async () => {
  await using bed = await HttpBed.start()
  const opened = await bed.call('POST', '/v1/sessions', { body: { node: 'a', ttlMs: 5_000, endpoint: 'http://a' } })
  expectAnswer('openSession', opened)
  expect(opened.body).toMatchObject({ ttlMs: 5_000, resumed: false })
  const session = String(opened.body['id'])
  expectAnswer('renewSession', await bed.call('POST', '/v1/sessions/renew', { session, body: {} }))
  expectAnswer('nodes', await bed.call('GET', '/v1/nodes'))

  const granted = await bed.acquire(session, 't1')
  expectAnswer('acquire', granted)
  const { fencingToken } = granted.body
  expectAnswer('acquire', await bed.acquire(session, 't2'))
  const progress = { session, body: { fencingToken, done: 1, total: 2 } }
  expectAnswer('progress', await bed.call('POST', '/v1/locks/k/progress', progress))
  expectAnswer('lock', await bed.call('GET', '/v1/locks/k'))
  expectAnswer('cancel', await bed.call('POST', '/v1/locks/k/cancel', { session, body: { ticket: 't2' } }))
  expectAnswer('complete', await bed.call('POST', '/v1/locks/k/complete', { session, body: { fencingToken } }))
  expectAnswer('acquire', await bed.acquire(session, 't3'))
  const forgotten = await bed.call('DELETE', `/v1/locks/k/outcome?ifToken=${String(fencingToken)}`)
  expectAnswer('forget', forgotten)
  expect(forgotten.body).toEqual({ forgotten: true })

  const second = await bed.acquire(session, 't4')
  const failed = { session, body: { fencingToken: second.body['fencingToken'], error: { code: 'x', message: '' } } }
  expectAnswer('fail', await bed.call('POST', '/v1/locks/k/fail', failed))
  const third = await bed.acquire(session, 't5')
  const released = { session, body: { fencingToken: third.body['fencingToken'] } }
  expectAnswer('release', await bed.call('POST', '/v1/locks/k/release', released))
  const copies = await bed.call('POST', '/v1/copies', { session, body: { add: ['blob/1'], remove: ['blob/2'] } })
  expectAnswer('copies', copies)
  expect(copies.body).toEqual({ added: 1, removed: 1 })
  expectAnswer('closeSession', await bed.call('DELETE', '/v1/sessions', { session }))
  expect((await bed.call('GET', '/v1/nodes')).body).toEqual({ nodes: [] })
})

test('the lock server carries a value through as it is', async () => {
  await using bed = await HttpBed.start()
  const session = await bed.session('a')
  const value = { deep: [1, 'ü', null, { x: false }] }
  const { body } = await bed.acquire(session, 't1')
  const completed = { fencingToken: body['fencingToken'], value }
  await bed.call('POST', '/v1/locks/k/complete', { session, body: completed })
  expect((await bed.acquire(session, 't2')).body).toMatchObject({ status: 'done', value })
})

test('the lock server never shows session ids or tickets to others', async () => {
  await using bed = await HttpBed.start()
  const session = await bed.session('a')
  await bed.acquire(session, 'secret-ticket')
  const shown = [await bed.call('GET', '/v1/locks/k'), await bed.call('GET', '/v1/nodes')]
  const text = JSON.stringify(shown.map(({ body }) => body))
  expect(text).toContain('"node":"a"')
  expect(text).not.toContain(session)
  expect(text).not.toContain('secret-ticket')
})

test.each([
  ['slashes as they are', 'reports/2026/11'],
  ['slashes that are encoded', 'reports%2F2026%2F11'],
  ['both', 'reports/2026%2F11'],
])('the lock server takes %s in a key', async (_what, path) => {
  await using bed = await HttpBed.start()
  const session = await bed.session('a')
  expect((await bed.acquire(session, 't1', {}, path)).body).toMatchObject({ status: 'granted' })
  const { body } = await bed.call('GET', `/v1/locks/${path}`)
  expect(body).toMatchObject({ key: 'reports/2026/11', state: 'held' })
  expect((await bed.call('DELETE', `/v1/locks/${path}/outcome?ifToken=7`)).body).toEqual({ forgotten: false })
})

test.each(['a?b#c', '100%', 'mit Leerzeichen', '\u{1F512}', 'x/outcome', 'acquire', '//', '+&='])(
  'the lock server takes %j as a key when it is encoded',
  async (key) => {
    await using bed = await HttpBed.start()
    const session = await bed.session('a')
    const path = encodeURIComponent(key)
    expect((await bed.acquire(session, 't1', {}, path)).body).toMatchObject({ status: 'granted' })
    expect((await bed.call('GET', `/v1/locks/${path}`)).body).toMatchObject({ key, state: 'held' })
  },
)

test('the lock server takes keys of 512 bytes, however long they are when encoded', async () => {
  await using bed = await HttpBed.start()
  const session = await bed.session('a')
  for (const key of ['k'.repeat(512), 'ü'.repeat(256), '/'.repeat(512)]) {
    const answer = await bed.acquire(session, 't1', {}, encodeURIComponent(key))
    expect(answer.body).toMatchObject({ status: 'granted' })
  }
})

test('the lock server resumes a session over HTTP', async () => {
  await using bed = await HttpBed.start()
  const before = await bed.session('a', { endpoint: 'http://a' })
  await bed.call('POST', '/v1/copies', { session: before, body: { add: ['blob/1'] } })
  const opened = await bed.call('POST', '/v1/sessions', { body: { node: 'a', endpoint: 'http://b', resume: before } })
  expect(opened.body).toMatchObject({ resumed: true })
  const other = await bed.session('b')
  const copies = [{ node: 'a', endpoint: 'http://b' }]
  expect((await bed.acquire(other, 't1', {}, 'blob/1')).body).toMatchObject({ status: 'done', copies })
})

test('the lock server tells load balancers that it lives and is ready', async () => {
  await using bed = await HttpBed.start({ tokens: ['secret'] })
  expect(await bed.call('GET', '/healthz')).toMatchObject({ status: 200, body: { status: 'ok' } })
  expect(await bed.call('GET', '/readyz')).toMatchObject({ status: 200, body: { status: 'ready' } })
})

test('the lock server starts without warnings', async () => {
  const warnings: string[] = []
  const listener = (warning: Error & { code?: string }) => warnings.push(`${warning.code} ${warning.message}`)
  process.on('warning', listener)
  await using bed = await HttpBed.start()
  await bed.call('GET', '/healthz')
  process.off('warning', listener)
  expect(warnings).toEqual([])
})
