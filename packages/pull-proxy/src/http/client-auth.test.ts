import { hash } from '@node-rs/bcrypt'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { rawRequest } from '../raw-request.testbed.ts'
import { startTestFace, type TestFace } from './client-face.testbed.ts'

let ann: string
let bob: string
let proxy: TestFace

beforeAll(async () => {
  ann = `ann:${await hash('sécret:1', { cost: 4 })}`
  bob = `bob:${await hash('other', { cost: 4 })}`
})

beforeEach(async () => {
  proxy = await startTestFace({ users: ['# people', ann, bob] })
})

afterEach(async () => {
  await proxy[Symbol.asyncDispose]()
})

const basic = (credentials: string) => ({ authorization: `Basic ${Buffer.from(credentials).toString('base64')}` })
const right = basic('ann:sécret:1')

function ask(headers: Record<string, string> = {}, path = '/v2/', method = 'GET') {
  return rawRequest(proxy.url + path, { method, headers })
}

const statusOf = async (headers?: Record<string, string>) => (await ask(headers)).status

describe('a proxy with users', () => {
  test.each([
    ['GET', '/v2/'],
    ['GET', '/v2/library/app/manifests/latest'],
    ['GET', '/nonsense'],
    ['POST', '/v2/library/app/blobs/uploads/'],
    ['DELETE', '/v2/'],
  ])('answers %s %s of nobody with a challenge', async (method, path) => {
    const { status, headers, body } = await ask({}, path, method)
    expect(status).toBe(401)
    expect(headers['www-authenticate']).toBe('Basic realm="layerlock", charset="UTF-8"')
    expect(headers['docker-distribution-api-version']).toBe('registry/2.0')
    expect(JSON.parse(String(body))).toMatchObject({ errors: [{ code: 'UNAUTHORIZED' }] })
  })

  test('answers HEAD of nobody without a body', async () => {
    const { status, body } = await ask({}, '/v2/', 'HEAD')
    expect({ status, bytes: body.length }).toEqual({ status: 401, bytes: 0 })
  })

  test('lets its users in', async () => {
    expect(await statusOf(right)).toBe(200)
    expect(await statusOf(basic('bob:other'))).toBe(200)
    expect(await statusOf({ authorization: right.authorization.replace('Basic', 'BASIC ') })).toBe(200)
    expect((await ask(right, '/v2/', 'DELETE')).status).toBe(405)
  })

  test.each([
    basic('ann:other'),
    basic('ann:'),
    basic('ann'),
    basic(':'),
    basic('bob:sécret:1'),
    basic('nobody:other'),
    basic('Ann:sécret:1'),
    { authorization: 'Basic' },
    { authorization: 'Basic !' },
    { authorization: `Bearer ${right.authorization.slice(6)}` },
    { authorization: `${right.authorization}, x` },
  ])('does not let in %j', async (headers) => {
    const { status, headers: answered } = await ask(headers)
    expect(status).toBe(401)
    expect(answered['www-authenticate']).toMatch(/^Basic /)
  })

  test('does not log passwords', async () => {
    await ask(right)
    await ask(basic('ann:wrong-one'))
    expect(JSON.stringify(proxy.logger.lines)).not.toMatch(/sécret|wrong-one/)
  })
})

describe('other users', () => {
  test('count from the next request on, and what was found before does not', async () => {
    expect(await statusOf(right)).toBe(200)
    expect(await statusOf(basic('ann:new'))).toBe(401)
    proxy.face.replaceUsers([`ann:${await hash('new', { cost: 4 })}`])
    expect(await statusOf(right)).toBe(401)
    expect(await statusOf(basic('ann:new'))).toBe(200)
  })

  test('that are no good change nothing', async () => {
    expect(() => proxy.face.replaceUsers([ann, 'bob:plain'])).toThrow(/^line 2: /)
    expect(() => proxy.face.replaceUsers([])).toThrow(/^there is no user/)
    expect(await statusOf(right)).toBe(200)
  })

  test('cannot be had by a proxy that was started without', async () => {
    await using open = await startTestFace()
    expect(() => open.face.replaceUsers([ann])).toThrow('started without users')
  })
})

test('users cannot be had beside an upstream that wants the clients’ own credentials', async () => {
  const upstreams = [{ name: 'docker.io', auth: 'passthrough' }] as const
  await expect(startTestFace({ users: [ann], upstreams })).rejects.toThrow(
    'users: cannot be had with auth = passthrough, which the upstream docker.io has',
  )
})
