/* eslint-disable vitest/expect-expect, vitest/no-standalone-expect -- a function of its own holds what most tests expect */
import { ErrorBody, ERROR_CODES, type ErrorCode } from '@layerlock/protocol'
import { Compile } from 'typebox/schema'
import { expect, test } from 'vitest'
import { FlakyLockStore } from '../service/service.testbed.ts'
import { type Answer, HttpBed } from './http.testbed.ts'

const schema = Compile(ErrorBody)

/** Expects a refusal with this code, its status, and a message that names what was wrong. */
function expectRefusal({ status, body }: Answer, code: ErrorCode, message: RegExp): void {
  expect(body).toMatchObject({ error: { code, message: expect.stringMatching(message) } })
  expect(status).toBe(ERROR_CODES[code].status)
  expect(schema.Check(body)).toBe(true)
}

test.each([
  ['a missing field', {}, /ticket/],
  ['a value out of bounds, with the value', { ticket: 't', waitMs: 99_999 }, /^waitMs: 99999 .*25000/],
  ['a value of another type', { ticket: 't', enqueue: 'yes' }, /^enqueue: "yes" /],
  ['text where a number belongs', { ticket: 't', limit: '2' }, /^limit: "2" /],
  ['an unknown field', { ticket: 't', tiket: 't' }, /^tiket: is not a known field/],
  ['an array as the body', [], /^body: .*object/],
])('the lock server refuses %s, naming it', async (_what, body, message) => {
  await using bed = await HttpBed.start()
  const session = await bed.session('a')
  expectRefusal(await bed.call('POST', '/v1/locks/k/acquire', { session, body }), 'invalid_request', message)
})

test('the lock server names a field inside another one', async () => {
  await using bed = await HttpBed.start()
  const session = await bed.session('a')
  const body = { fencingToken: 1, error: { code: '', message: 'm', stack: 1 } }
  const answer = await bed.call('POST', '/v1/locks/k/fail', { session, body })
  expectRefusal(answer, 'invalid_request', /^error\.code: "" /)
})

test.each([
  [{ node: 'a\n' }, 'node: "a\\n" must not contain control characters or lone surrogates'],
  [{ node: 'a', labels: { a: '\u001B[2J' } }, 'labels.a: "\\u001b[2J" must not contain control characters'],
  [
    { node: 'a', labels: { 'a\n': '' } },
    'labels, a name: "a\\n" must not contain control characters or lone surrogates',
  ],
  [{ node: 'a', labels: { '': '' } }, 'labels, a name: "" must NOT have fewer than 1 characters'],
  [
    { node: 'a', labels: Object.fromEntries(Array.from({ length: 33 }, (_, index) => [`l${index}`, ''])) },
    'labels: must NOT have',
  ],
])('the lock server refuses a session of %j, naming what is wrong', async (body, message) => {
  await using bed = await HttpBed.start()
  const answer = await bed.call('POST', '/v1/sessions', { body })
  expect(answer).toMatchObject({ status: 400, body: { error: { code: 'invalid_request' } } })
  const { error } = answer.body as { error: { message: string } }
  expect(error.message.startsWith(message) && !error.message.includes(';')).toBe(true)
})

test('the lock server refuses what is not JSON, not an object, or nothing at all', async () => {
  await using bed = await HttpBed.start()
  const session = await bed.session('a')
  const path = '/v1/locks/k/acquire'
  expectRefusal(await bed.call('POST', path, { session, body: '{"ticket":' }), 'invalid_request', /^body: /)
  expectRefusal(await bed.call('POST', path, { session, body: 'null' }), 'invalid_request', /^body/)
  expectRefusal(await bed.call('POST', path, { session }), 'invalid_request', /^body/)
  const xml = { session, body: '<a/>', headers: { 'content-type': 'text/xml' } }
  expectRefusal(await bed.call('POST', path, xml), 'invalid_request', /^Content-Type: "text\/xml" .*application\/json/)
  const text = { session, body: '{"ticket":"t"}', headers: { 'content-type': 'text/plain' } }
  expectRefusal(await bed.call('POST', path, text), 'invalid_request', /^Content-Type: "text\/plain"/)
  const unnamed = await bed.send(`POST ${path}`, [`Layerlock-Session: ${session}`], '{"ticket":"t"}')
  expect(unnamed).toMatch(/^HTTP\/1\.1 400 .*"Content-Type: is missing; a body must be application\/json"/s)
})

test('the lock server wants to know the session', async () => {
  await using bed = await HttpBed.start()
  const answer = await bed.call('POST', '/v1/locks/k/acquire', { body: { ticket: 't' } })
  expectRefusal(answer, 'invalid_request', /^Layerlock-Session: /)
})

test('the lock server says of a session that it has never had, or has ended, that it expired', async () => {
  await using bed = await HttpBed.start()
  expectRefusal(await bed.acquire('nobody', 't'), 'session_expired', /^Layerlock-Session: .*open a new one/)
  const session = await bed.session('a')
  await bed.call('DELETE', '/v1/sessions', { session })
  expectRefusal(await bed.acquire(session, 't'), 'session_expired', /ended/)
  expectRefusal(await bed.call('POST', '/v1/sessions/renew', { session, body: {} }), 'session_expired', /ended/)
  expectRefusal(await bed.call('DELETE', '/v1/sessions', { session }), 'session_expired', /ended/)
})

test('the lock server refuses stale tokens, other limits, and deletes of what is in use', async () => {
  await using bed = await HttpBed.start()
  const [a, b] = [await bed.session('a'), await bed.session('b')]
  const { body } = await bed.acquire(a, 't1')
  const stale = { session: b, body: { fencingToken: body['fencingToken'] } }
  expectRefusal(await bed.call('POST', '/v1/locks/k/release', stale), 'lease_lost', /^fencingToken: \d+/)
  expectRefusal(await bed.acquire(b, 't1', { limit: 2 }), 'limit_mismatch', /^limit: 2 differs from 1/)
  await bed.call('POST', '/v1/copies', { session: a, body: { add: ['blob/1'] } })
  const wish = { unlessReferenced: true, ignoreOutcome: true }
  expectRefusal(await bed.acquire(b, 't1', wish, 'blob/1'), 'in_use', /^key: .*blob\/1/)
})

test('the lock server refuses one waiter too many, with a status that says to come back', async () => {
  await using bed = await HttpBed.start({ settings: { maxQueue: 1 } })
  const session = await bed.session('a')
  await bed.acquire(session, 't1')
  await bed.acquire(session, 't2')
  expectRefusal(await bed.acquire(session, 't3'), 'queue_full', /1 tickets wait/)
})

test('the lock server refuses keys that are too long, empty, or have control characters', async () => {
  await using bed = await HttpBed.start()
  const session = await bed.session('a')
  expectRefusal(await bed.acquire(session, 't', {}, 'k'.repeat(513)), 'too_large', /^key: has 513 bytes/)
  expectRefusal(await bed.acquire(session, 't', {}, 'k'.repeat(1_600)), 'too_large', /^key: /)
  expectRefusal(await bed.acquire(session, 't', {}, 'k'.repeat(5_000)), 'too_large', /^key: /)
  expectRefusal(await bed.acquire(session, 't', {}, 'a%00b'), 'invalid_request', /^key: .*control/)
  expectRefusal(await bed.acquire(session, 't', {}, ''), 'invalid_request', /^key: /)
  expectRefusal(await bed.acquire(session, 't', {}, '%zz'), 'invalid_request', /%zz/)
  const copies = { session, body: { add: ['good', 'k'.repeat(513)] } }
  expectRefusal(await bed.call('POST', '/v1/copies', copies), 'too_large', /^key: /)
  expect((await bed.call('GET', '/v1/locks/good')).body).toMatchObject({ state: 'free' })
})

test('the lock server refuses bodies that are too large', async () => {
  await using bed = await HttpBed.start()
  const session = await bed.session('a')
  const { body } = await bed.acquire(session, 't1')
  const large = { fencingToken: body['fencingToken'], value: 'x'.repeat(1024 * 1024) }
  expectRefusal(await bed.call('POST', '/v1/locks/k/complete', { session, body: large }), 'too_large', /^body: /)
  expect((await bed.call('GET', '/v1/locks/k')).body).toMatchObject({ state: 'held' })
})

test('the lock server refuses queries that are not numbers', async () => {
  await using bed = await HttpBed.start()
  const waitMs = await bed.call('GET', '/v1/locks/k?waitMs=soon')
  expectRefusal(waitMs, 'invalid_request', /^waitMs: "soon" must be a whole number of milliseconds$/)
  const ifToken = await bed.call('DELETE', '/v1/locks/k/outcome?ifToken=0')
  expectRefusal(ifToken, 'invalid_request', /^ifToken: "0" must be a fencing token, a whole number from 1 on$/)
})

test('the lock server says that there is no such call', async () => {
  await using bed = await HttpBed.start()
  expectRefusal(await bed.call('GET', '/v2/'), 'not_found', /GET \/v2\//)
  expectRefusal(await bed.call('POST', '/v1/locks/k/steal?token=secret', { body: {} }), 'not_found', /POST .*steal;/)
  expectRefusal(await bed.call('PUT', '/v1/sessions', { body: {} }), 'not_found', /PUT/)
})

test('the lock server answers overloaded, with Retry-After, when its store fails', async () => {
  const store = new FlakyLockStore()
  await using bed = await HttpBed.start({ store })
  const session = await bed.session('a')
  store.failing = true
  for (const answer of [
    await bed.acquire(session, 't'),
    await bed.call('POST', '/v1/sessions', { body: { node: 'b' } }),
    await bed.call('GET', '/v1/locks/k'),
  ]) {
    expectRefusal(answer, 'overloaded', /lock server/)
    expect(answer.headers.get('retry-after')).toBe('1')
    expect(JSON.stringify(answer.body)).not.toContain('the disk is full')
  }
  store.failing = false
  expect((await bed.acquire(session, 't')).status).toBe(200)
})

test('the lock server lets only calls with a known bearer token in', async () => {
  await using bed = await HttpBed.start({ tokens: ['first-token', 'second-token'] })
  const call = (authorization?: string) =>
    bed.call('GET', '/v1/nodes', { headers: authorization === undefined ? {} : { authorization } })
  for (const wrong of [
    undefined,
    'Bearer',
    'Bearer wrong',
    'Basic first-token',
    'first-token',
    'Bearer first-token x',
  ]) {
    expectRefusal(await call(wrong), 'unauthorized', /^Authorization: /)
  }
  expect((await call('Bearer first-token')).status).toBe(200)
  expect((await call('bearer second-token')).status).toBe(200)
  expectRefusal(await bed.call('GET', '/v1/anything'), 'unauthorized', /^Authorization: /)
})

test('the lock server names all that a choice allows, in one message', async () => {
  await using bed = await HttpBed.start()
  const choice = /^state: "odd" must be one of free, held, queued, done, failed$/
  expectRefusal(await bed.call('GET', '/v1/locks?state=odd'), 'invalid_request', choice)
})

test('the lock server says in words what text may be like', async () => {
  await using bed = await HttpBed.start()
  const session = await bed.session('a')
  expectRefusal(await bed.acquire(session, 'a b'), 'invalid_request', /^ticket: "a b" must be printable ASCII/)
  const body = { node: 'a', endpoint: 'ftp://x' }
  const endpoint = /^endpoint: "ftp:\/\/x" must be an http or https URL$/
  expectRefusal(await bed.call('POST', '/v1/sessions', { body }), 'invalid_request', endpoint)
})

/** Arrays within each other, as text: no serializer gets that far. */
const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)

test('the lock server refuses bodies that are too deep, on all routes', async () => {
  await using bed = await HttpBed.start({ legacy: { retainMs: 60_000, holdMs: 60_000 } })
  const session = await bed.session('a')
  const { fencingToken } = (await bed.acquire(session, 't')).body
  const complete = (value: string) =>
    bed.call('POST', '/v1/locks/k/complete', {
      session,
      body: `{"fencingToken":${String(fencingToken)},"value":${value}}`,
    })
  const message = /^body: has more than 100 arrays or objects/
  for (const depth of [100, 5_000, 100_000]) {
    expectRefusal(await complete(nested(depth)), 'invalid_request', message)
  }
  const ops = { session, body: `{"ops":[${nested(5_000)}]}` }
  expectRefusal(await bed.call('POST', '/v1/batch', ops), 'invalid_request', message)
  const legacy = await bed.call('POST', '/lock', { body: nested(5_000) })
  expect(legacy).toMatchObject({ status: 400, body: { error: expect.stringMatching(message) as string } })
  expect((await complete(nested(99))).status).toBe(200)
})

test('a renewal, and the end of a session, need no body, whatever type it has', async () => {
  await using bed = await HttpBed.start()
  const session = await bed.session('a')
  const headers = { 'content-type': 'application/json' }
  const renew = (options: object) => bed.call('POST', '/v1/sessions/renew', { session, ...options })
  for (const options of [{}, { headers }, { body: {} }]) expect((await renew(options)).status).toBe(200)
  expectRefusal(await renew({ body: 'null' }), 'invalid_request', /^body: /)
  expect((await bed.call('DELETE', '/v1/sessions', { session, headers })).status).toBe(204)
})
