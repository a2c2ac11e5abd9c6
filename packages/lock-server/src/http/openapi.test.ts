import { ERROR_CODES, ROUTES, type Route } from '@layerlock/protocol'
import { Validator } from '@seriousme/openapi-schema-validator'
import { expect, test } from 'vitest'
import { LockService } from '../service/lock-service.ts'
import { FlakyLockStore } from '../service/service.testbed.ts'
import { LockServer } from '../lock-server.ts'
import { MemoryLockStore } from '../store/memory-lock-store.ts'
import { createApiApp } from './api-app.ts'
import { Drain } from './drain.ts'
import { HttpBed } from './http.testbed.ts'
import { openapiDocument } from './openapi.ts'
import { Contract } from './openapi.testbed.ts'
import { registerRoutes } from './register-routes.ts'

type Name = keyof typeof ROUTES

interface Wish {
  readonly key?: string
  readonly query?: string
  readonly session?: string
  readonly body?: unknown
  readonly token?: string
}

const TOKENS = [
  { token: 'of-a-client', role: 'client' },
  { token: 'of-an-operator', role: 'operator' },
] as const

/** Calls a server by the names of the routes, and holds every answer against the document that it gives out. */
class Caller {
  readonly #url: string
  readonly #contract: Contract
  readonly complaints: string[] = []
  /** Routes that have done what they are there for. */
  readonly succeeded = new Set<string>()
  readonly codes = new Set<string>()

  private constructor(url: string, contract: Contract) {
    this.#url = url
    this.#contract = contract
  }

  static async of(url: string): Promise<Caller> {
    const document = (await (await fetch(`${url}/openapi.json`)).json()) as ConstructorParameters<typeof Contract>[0]
    return new Caller(url, new Contract(document))
  }

  async call(name: Name, { key = 'k', query = '', session, body, token = 'of-a-client' }: Wish = {}) {
    const route: Route = ROUTES[name]
    const came = await this.#fetch(route.method, route.path.replace('{key}', encodeURIComponent(key)) + query, {
      ...(session === undefined ? {} : { 'layerlock-session': session }),
      ...(body === undefined ? {} : { 'content-type': 'application/json', body: JSON.stringify(body) }),
      authorization: `Bearer ${token}`,
    })
    this.complaints.push(...this.#contract.complaints(route.method, route.path, came))
    if (came.status === route.status) this.succeeded.add(name)
    return came.body as Record<string, unknown>
  }

  /** Calls what is no part of the protocol. */
  async get(path: string): Promise<void> {
    const came = await this.#fetch('GET', path, { authorization: 'Bearer of-a-client' })
    this.complaints.push(...this.#contract.complaints('GET', path, came))
    if (came.status === 200) this.succeeded.add(path)
  }

  async getNothing(): Promise<void> {
    const { body } = await this.#fetch('GET', '/v1/nothing', { authorization: 'Bearer of-a-client' })
    this.complaints.push(...this.#contract.refusalComplaints(body))
  }

  async #fetch(method: string, path: string, { body, ...headers }: Record<string, string>) {
    const response = await fetch(this.#url + path, { method, headers, body: body ?? null })
    const contentType = response.headers.get('content-type')
    const isStream = contentType === 'text/event-stream'
    const text = isStream ? '' : await response.text()
    if (isStream) await response.body?.cancel()
    const isJson = contentType?.startsWith('application/json') === true
    const read: unknown = isJson ? JSON.parse(text) : text
    if (!response.ok) this.codes.add((read as { error: { code: string } }).error.code)
    return { status: response.status, contentType, body: read }
  }
}

test('GET /openapi.json gives a document that is valid OpenAPI 3.1', async () => {
  await using bed = await HttpBed.start({ tokens: TOKENS })
  const { status, headers, body } = await bed.call('GET', '/openapi.json')
  expect([status, headers.get('content-type')]).toEqual([200, 'application/json; charset=utf-8'])
  const validator = new Validator()
  const result = await validator.validate(structuredClone(body))
  expect(result).toMatchObject({ valid: true })
  expect(validator.version).toBe('3.1')
})

test('GET /openapi.json has every route of the server, and no other', async () => {
  const routes: string[] = []
  const app = createApiApp({})
  app.addHook('onRoute', ({ method, url }) => {
    routes.push(...[method].flat().map((each) => `${each} ${url.replace(':key', '{key}')}`))
  })
  await using service = await LockService.open({ store: new MemoryLockStore() })
  registerRoutes(app, { service, drain: new Drain() })
  const { operations } = new Contract(openapiDocument())
  // Fastify answers HEAD wherever there is a GET.
  const own = routes.filter((route) => !route.startsWith('HEAD '))
  expect(own.toSorted()).toEqual(operations.toSorted())
})

test('GET /openapi.json names what is wrong with answers that are not as it says', () => {
  const contract = new Contract(openapiDocument())
  const json = 'application/json'
  const complaints = (status: number, body: unknown, contentType = json) =>
    contract.complaints('POST', '/v1/sessions/renew', { status, contentType, body })
  expect(complaints(200, { ttlMs: 5 })).toEqual([])
  expect(complaints(200, { ttlMs: 'long' })).toHaveLength(1)
  expect(complaints(200, { ttlMs: 5 }, 'text/plain')).toHaveLength(1)
  expect(complaints(418, { ttlMs: 5 })).toHaveLength(1)
  expect(complaints(410, { error: { code: 'session_expired', message: '' } })).toEqual([])
  expect(complaints(410, { error: { code: 'lease_lost', message: '' } })).toHaveLength(1)
})

test('the lock server answers as GET /openapi.json says, every call and every error code', async () => {
  const store = new FlakyLockStore()
  await using server = await LockServer.start({
    host: '127.0.0.1',
    port: 0,
    store,
    tokens: TOKENS,
    settings: { maxQueue: 1 },
  })
  const caller = await Caller.of(server.url)
  const call: Caller['call'] = (...args) => caller.call(...args)

  const open = async (node: string) =>
    String((await call('openSession', { body: { node, endpoint: 'http://a' } }))['id'])
  const [a, b] = [await open('a'), await open('b')]
  await call('openSession', { body: { node: 5 } })
  await call('renewSession', { session: a, body: {} })
  await call('renewSession', { session: 'nobody', body: {} })
  await call('nodes')
  await call('nodes', { token: 'wrong' })

  const acquire = (session: string, ticket: string, wish: object = {}, key = 'k') =>
    call('acquire', { session, key, body: { ticket, ...wish } })
  const granted = await acquire(a, 'a1')
  await acquire(b, 'b1')
  await acquire(b, 'b2')
  await acquire(b, 'b3', { enqueue: false })
  await acquire(b, 'b4', { limit: 2 })
  await acquire(b, 'b5', {}, 'x'.repeat(513))
  await call('acquire', { body: { ticket: 't' } })
  const { fencingToken } = granted
  await call('progress', { session: a, body: { fencingToken, done: 1, total: 2 } })
  await call('progress', { session: a, body: { fencingToken: 1, done: 1 } })
  await call('lock')
  await call('lock', { query: '?waitMs=soon' })
  await call('cancel', { session: b, body: { ticket: 'b1' } })
  await call('complete', { session: b, body: { fencingToken } })
  await call('complete', { session: a, body: { fencingToken, value: { any: [1] } } })
  await acquire(b, 'b6')
  await call('forget')
  await call('forget', { query: `?ifToken=${String(fencingToken)}` })
  await call('forget', { token: 'of-an-operator' })

  const failing = await acquire(a, 'a2')
  const failure = { fencingToken: failing['fencingToken'], error: { code: 'c', message: 'm' }, permanent: true }
  await call('fail', { session: a, body: failure })
  await acquire(b, 'b7')
  const released = await acquire(a, 'a3', {}, 'other')
  await call('release', { session: a, body: { fencingToken: released['fencingToken'] }, key: 'other' })
  const ops = [
    { op: 'acquire', key: 'batch', ticket: 't' },
    { op: 'cancel', key: 'batch', ticket: 't' },
    { op: 'nonsense' },
  ]
  await call('batch', { session: a, body: { ops } })
  await call('batch', { session: a, body: {} })
  await call('copies', { session: a, body: { add: ['blob/1'] } })
  await acquire(b, 'b8', {}, 'blob/1')
  await acquire(b, 'b9', { unlessReferenced: true, ignoreOutcome: true }, 'blob/1')
  await call('lock', { key: 'blob/1' })
  await call('locks', { query: '?limit=2' })
  await call('locks', { query: '?state=odd' })
  await call('events')
  await call('events', { query: '?colour=red' })
  for (const path of ['/healthz', '/readyz', '/openapi.json', '/metrics']) await caller.get(path)
  await caller.getNothing()
  store.failing = true
  await call('lock')
  store.failing = false
  await call('closeSession', { session: a })
  await call('closeSession', { session: a })

  expect(caller.complaints).toEqual([])
  const all = [...Object.keys(ROUTES), '/healthz', '/readyz', '/openapi.json', '/metrics']
  expect([...caller.succeeded].toSorted()).toEqual(all.toSorted())
  expect([...caller.codes].toSorted()).toEqual(Object.keys(ERROR_CODES).toSorted())
})
