import { expect, test } from 'vitest'
import { HttpBed } from '../http/http.testbed.ts'
import { FlakyLockStore } from '../service/service.testbed.ts'
import { LegacyBed } from './legacy.testbed.ts'

const wish = { type: 'pull', resource_id: 'r', node_id: 'a' }
const without = (name: keyof typeof wish) => Object.fromEntries(Object.entries(wish).filter(([key]) => key !== name))

test.each([
  [without('type'), 'type: is missing; expected pull, update or delete'],
  [without('resource_id'), 'resource_id: is missing; expected a string of 1 to 500 bytes without control characters'],
  [without('node_id'), 'node_id: is missing; expected a string of 1 to 253 bytes without control characters'],
  [{ ...wish, type: 'push' }, 'type: "push" is not allowed; expected pull, update or delete'],
  [{ ...wish, type: 1 }, 'type: 1 is not allowed'],
  [{ ...wish, resource_id: 5 }, 'resource_id: 5 is not allowed'],
  [{ ...wish, resource_id: '' }, 'resource_id: "" is not allowed'],
  [{ ...wish, resource_id: 'a\nb' }, 'resource_id: "a\\nb" is not allowed'],
  [{ ...wish, resource_id: 'ü'.repeat(251) }, 'resource_id: "üü'],
  [{ ...wish, resource_id: '\uD800' }, 'resource_id: "\\ud800" is not allowed'],
  [{ ...wish, node_id: null }, 'node_id: null is not allowed'],
  [{ ...wish, node_id: ['a'] }, 'node_id: ["a"] is not allowed'],
  [{ ...wish, node_id: 'n'.repeat(254) }, 'node_id: "nn'],
  ['', 'body: is missing; expected a JSON object'],
  ['[1]', 'body: [1] is not allowed; expected a JSON object'],
  ['{', 'body: is not JSON'],
])('the calls refuse %j', async (body, message) => {
  await using bed = await LegacyBed.start()
  for (const path of ['/lock', '/unlock', '/lock/status']) {
    const refused = { status: 400, body: { error: expect.stringContaining(message) } }
    expect(await bed.send('POST', path, body)).toEqual(refused)
  }
})

test.each([
  [{ error: 5 }, 'error: 5 is not allowed; expected a string'],
  [{ success: 'yes' }, 'success: "yes" is not allowed; expected true or false'],
])('POST /unlock refuses %j, and the lock stays', async (result, message) => {
  await using bed = await LegacyBed.start()
  await bed.acquire('a')
  expect(await bed.unlock('a', result)).toEqual({ status: 400, body: { error: message } })
  expect(await bed.status('a')).toMatchObject({ acquired: true })
})

test.each([
  ['?resource_id=r', 'type: is missing'],
  ['?type=pull', 'resource_id: is missing'],
  ['?type=push&resource_id=r', 'type: "push" is not allowed'],
  ['?type=pull&resource_id=', 'resource_id: "" is not allowed'],
  ['?type=pull&resource_id=a&resource_id=b', 'resource_id: ["a","b"] is not allowed'],
])('GET /lock/subscribe refuses %s', async (query, message) => {
  await using bed = await LegacyBed.start()
  const refused = { status: 400, body: { error: expect.stringContaining(message) } }
  expect(await bed.send('GET', `/lock/subscribe${query}`)).toEqual(refused)
})

test('ids may be as long as they say, and fields that are not known are passed over', async () => {
  await using bed = await LegacyBed.start()
  const longest = { type: 'pull', resource_id: 'ü'.repeat(250), node_id: 'n'.repeat(253), timeout: 5 }
  expect(await bed.send('POST', '/lock', longest)).toMatchObject({ status: 200, body: { acquired: true } })
  expect(await bed.send('POST', '/unlock', longest)).toMatchObject({ status: 200, body: { released: true } })
})

test.each(['text/plain', 'application/x-www-form-urlencoded', 'application/json; charset=utf-8'])(
  'a body of the type %s is read as JSON',
  async (contentType) => {
    await using bed = await LegacyBed.start()
    const answer = await bed.send('POST', '/lock', JSON.stringify(wish), { 'content-type': contentType })
    expect(answer).toMatchObject({ status: 200, body: { acquired: true } })
  },
)

test('a body that is too large is refused in the form of these calls', async () => {
  await using bed = await LegacyBed.start({ maxBodyBytes: 1_000 })
  const answer = await bed.send('POST', '/lock', { ...wish, more: 'x'.repeat(2_000) })
  expect(answer).toEqual({ status: 413, body: { error: expect.any(String) } })
})

test.each([
  ['POST', '/lock', wish],
  ['POST', '/unlock', wish],
  ['POST', '/lock/status', wish],
  ['GET', '/lock/subscribe?type=pull&resource_id=r', undefined],
])('%s %s needs a token where the server has some', async (method, path, body) => {
  await using bed = await LegacyBed.start({ tokens: ['secret'] })
  expect(await bed.send(method, path, body)).toEqual({ status: 401, body: { error: expect.any(String) } })
})

test('a client that has a token is served', async () => {
  await using bed = await LegacyBed.start({ tokens: ['secret'] })
  const answer = await bed.send('POST', '/lock', wish, { authorization: 'Bearer secret' })
  expect(answer).toMatchObject({ status: 200, body: { acquired: true } })
})

test('a server that cannot do it now says when to come back, and nothing of its inside', async () => {
  const store = new FlakyLockStore()
  await using bed = await LegacyBed.start({ store })
  const ask = async () => {
    const response = await fetch(`${bed.url}/lock`, { method: 'POST', body: JSON.stringify(wish) })
    return { status: response.status, retryAfter: response.headers.get('retry-after'), body: await response.json() }
  }
  store.failing = true
  const error = 'the lock server failed unexpectedly; its log says why'
  expect(await ask()).toEqual({ status: 503, retryAfter: '1', body: { error } })
  store.failing = false
  expect(await ask()).toMatchObject({ status: 200, retryAfter: null })
})

test('what is refused by a limit says which', async () => {
  await using bed = await LegacyBed.start({ limits: { maxSessions: 1 } })
  await bed.acquire('a')
  const refused = await bed.lock('b')
  expect(refused).toEqual({ status: 503, body: { error: expect.stringContaining('1 sessions are open already') } })
})

test('errors of version 1 keep their form beside the earlier one', async () => {
  await using bed = await LegacyBed.start()
  expect(await bed.send('GET', '/lock')).toMatchObject({ status: 404, body: { error: { code: 'not_found' } } })
  expect(await bed.send('POST', '/v1/sessions', '{')).toMatchObject({ body: { error: { code: 'invalid_request' } } })
})

test('without the option there are no such calls', async () => {
  await using bed = await HttpBed.start()
  expect((await bed.call('POST', '/lock', { body: wish })).status).toBe(404)
})
