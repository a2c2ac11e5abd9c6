import { expect, test } from 'vitest'
import { LockServer } from '../lock-server.ts'
import { MemoryLockStore } from '../store/memory-lock-store.ts'
import { HttpBed } from './http.testbed.ts'

const TOKENS = [
  { token: 'of-a-client', role: 'client' },
  { token: 'of-an-operator', role: 'operator' },
] as const

const as = (token: string) => ({ headers: { authorization: `Bearer ${token}` } })

/** Completes the key `k`, and gives back the token of its outcome. */
async function completed(bed: HttpBed, caller: { headers?: Record<string, string> } = {}): Promise<unknown> {
  const opened = await bed.call('POST', '/v1/sessions', { ...caller, body: { node: 'a' } })
  const session = String(opened.body['id'])
  const { body } = await bed.call('POST', '/v1/locks/k/acquire', { ...caller, session, body: { ticket: 't' } })
  const { fencingToken } = body
  await bed.call('POST', '/v1/locks/k/complete', { ...caller, session, body: { fencingToken } })
  return fencingToken
}

test('a client may forget the outcome that it names, and no other', async () => {
  await using bed = await HttpBed.start({ tokens: TOKENS })
  const fencingToken = await completed(bed, as('of-a-client'))
  const refused = await bed.call('DELETE', '/v1/locks/k/outcome', as('of-a-client'))
  expect(refused).toMatchObject({ status: 403, body: { error: { code: 'forbidden' } } })
  expect(JSON.stringify(refused.body)).toMatch(/a token of the role operator; with ifToken/)
  const shown = await bed.call('GET', '/v1/locks/k', as('of-a-client'))
  expect(shown.body).toMatchObject({ state: 'done' })
  const named = await bed.call('DELETE', `/v1/locks/k/outcome?ifToken=${String(fencingToken)}`, as('of-a-client'))
  expect(named.body).toEqual({ forgotten: true })
})

test('an operator may forget any outcome', async () => {
  await using bed = await HttpBed.start({ tokens: TOKENS })
  await completed(bed, as('of-an-operator'))
  const forgotten = await bed.call('DELETE', '/v1/locks/k/outcome', as('of-an-operator'))
  expect(forgotten).toMatchObject({ status: 200, body: { forgotten: true } })
})

test('everybody may forget any outcome where there are no tokens', async () => {
  await using bed = await HttpBed.start()
  await completed(bed)
  expect((await bed.call('DELETE', '/v1/locks/k/outcome')).body).toEqual({ forgotten: true })
})

test('a token that is a plain text is a client’s', async () => {
  await using bed = await HttpBed.start({ tokens: ['plain'] })
  expect((await bed.call('GET', '/v1/nodes', as('plain'))).status).toBe(200)
  expect((await bed.call('DELETE', '/v1/locks/k/outcome', as('plain'))).status).toBe(403)
})

test('other tokens take the place of those before, at the next call', async () => {
  await using server = await LockServer.start({
    host: '127.0.0.1',
    port: 0,
    store: new MemoryLockStore(),
    tokens: ['old'],
  })
  const statusOf = async (token: string) => (await fetch(`${server.url}/v1/nodes`, as(token))).status
  expect([await statusOf('old'), await statusOf('new')]).toEqual([200, 401])
  server.replaceTokens([{ token: 'new', role: 'client' }])
  expect([await statusOf('old'), await statusOf('new')]).toEqual([401, 200])
  expect(() => server.replaceTokens([])).toThrow('tokens: an empty list is not allowed')
  expect([await statusOf('old'), await statusOf('new')]).toEqual([401, 200])
})

test('health and documentation need no token, metrics one of any role', async () => {
  await using bed = await HttpBed.start({ tokens: TOKENS })
  const statuses = async (init: object) => {
    const paths = ['/healthz', '/readyz', '/openapi.json', '/metrics']
    return Promise.all(paths.map(async (path) => (await fetch(bed.url + path, init)).status))
  }
  expect(await statuses({})).toEqual([200, 200, 200, 401])
  expect(await statuses(as('wrong'))).toEqual([200, 200, 200, 401])
  expect(await statuses(as('of-a-client'))).toEqual([200, 200, 200, 200])
  expect(await statuses(as('of-an-operator'))).toEqual([200, 200, 200, 200])
})

test('who has no token is told how to show one', async () => {
  await using bed = await HttpBed.start({ tokens: TOKENS })
  const { status, headers } = await bed.call('GET', '/v1/nodes')
  expect([status, headers.get('www-authenticate')]).toEqual([401, 'Bearer'])
})
