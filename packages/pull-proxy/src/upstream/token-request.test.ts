import type { IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { failureOf } from '../failure-of.testbed.ts'
import { startHttpServer } from '../http-server.testbed.ts'
import { fixed, identityToken, password, repository, TokenUser } from './token-source.testbed.ts'
import type { TokenSourceOptions } from './token-source.ts'

interface Seen {
  readonly method: string | undefined
  readonly authorization: string | undefined
  readonly path: string
  readonly query: [string, string][]
  readonly form: Record<string, string>
}

const basicOf = (login: string) => `Basic ${btoa(login)}`
const asked = `service="s",scope="repository:library/app:pull"`

/** A token server that answers as it is told. */
async function startRealm(statusFor: (request: Seen) => number, body = '{"token":"abc"}') {
  const seen: Seen[] = []
  const read = async (request: IncomingMessage): Promise<Seen> => {
    const { pathname, searchParams } = new URL(request.url!, 'http://x')
    return {
      method: request.method,
      authorization: request.headers.authorization,
      path: pathname,
      query: [...searchParams],
      form: Object.fromEntries(new URLSearchParams(await text(request))),
    }
  }
  const server = await startHttpServer((request, response) => {
    void read(request).then((asking) => {
      seen.push(asking)
      return response.writeHead(statusFor(asking), { location: '/moved', 'retry-after': '9' }).end(body)
    })
  })
  return {
    url: server.url,
    seen,
    async answer(options: Partial<TokenSourceOptions> = {}, parameters = asked) {
      await using user = new TokenUser(server.url, options)
      return await user.tokens.answer(
        `Bearer realm="${server.url}/token?account=x",${parameters}`,
        repository,
        undefined,
      )
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

test('a password goes by Basic in a GET, and the query of the realm is kept', async () => {
  await using realm = await startRealm(() => 200)
  expect(await realm.answer({ credentials: fixed(password) })).toBe('Bearer abc')
  expect(realm.seen).toMatchObject([
    {
      method: 'GET',
      authorization: basicOf('ann:s3cret:word'),
      path: '/token',
      query: [
        ['account', 'x'],
        ['service', 's'],
        ['scope', 'repository:library/app:pull'],
      ],
    },
  ])
})

test('a challenge without a scope is answered for the repository', async () => {
  await using realm = await startRealm(() => 200)
  await realm.answer({}, 'service="s"')
  expect(realm.seen[0]!.query).toContainEqual(['scope', 'repository:library/app:pull'])
  expect(realm.seen[0]!.authorization).toBeUndefined()
})

test('a password goes in a form where the realm takes no GET', async () => {
  await using realm = await startRealm(({ method }) => (method === 'GET' ? 405 : 200))
  expect(await realm.answer({ credentials: fixed(password) })).toBe('Bearer abc')
  expect(realm.seen.at(-1)).toMatchObject({
    method: 'POST',
    authorization: undefined,
    form: {
      grant_type: 'password',
      username: 'ann',
      password: 's3cret:word',
      client_id: 'layerlock',
      service: 's',
      scope: 'repository:library/app:pull',
    },
  })
})

test('an identity token goes in a form, with several scopes in one field', async () => {
  await using realm = await startRealm(() => 200, '{"access_token":"abc"}')
  await expect(realm.answer({ credentials: fixed(identityToken) }, 'scope="a:b:pull c:d:pull"')).resolves.toBe(
    'Bearer abc',
  )
  expect(realm.seen).toMatchObject([
    {
      method: 'POST',
      form: {
        grant_type: 'refresh_token',
        refresh_token: 'id3ntity',
        client_id: 'layerlock',
        scope: 'a:b:pull c:d:pull',
      },
    },
  ])
})

test.each([404, 405])('an identity token goes by Basic where the realm answers a form with %i', async (status) => {
  await using realm = await startRealm(({ method }) => (method === 'POST' ? status : 200))
  const credentials = fixed({ kind: 'identityToken', token: 'id3ntity', username: 'ann' })
  expect(await realm.answer({ credentials })).toBe('Bearer abc')
  expect(realm.seen.at(-1)).toMatchObject({ method: 'GET', authorization: basicOf('ann:id3ntity') })
})

test('an identity token without a user can only go in a form', async () => {
  await using realm = await startRealm(() => 404)
  await expect(realm.answer({ credentials: fixed(identityToken) })).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
  expect(realm.seen).toHaveLength(1)
})

test.each([
  [400, 'UNAUTHORIZED', undefined],
  [401, 'UNAUTHORIZED', undefined],
  [403, 'UNAUTHORIZED', undefined],
  [429, 'TOOMANYREQUESTS', 9_000],
  [503, 'UNKNOWN', undefined],
])('a realm that answers %i gives %s', async (status, code, retryAfterMs) => {
  await using realm = await startRealm(() => status)
  await expect(realm.answer()).rejects.toMatchObject({ code, retryAfterMs })
})

test('a realm that refused is asked again the next time', async () => {
  let status = 503
  await using realm = await startRealm(() => status)
  await using user = new TokenUser(realm.url)
  const answer = () => user.tokens.answer(`Bearer realm="${realm.url}/token"`, repository, undefined)
  await expect(answer()).rejects.toMatchObject({ code: 'UNKNOWN' })
  status = 200
  expect(await answer()).toBe('Bearer abc')
})

test.each([
  '',
  '{}',
  '{"token":5}',
  '{"token":"with spaces"}',
  '[]',
  'null',
  '{"token":""}',
  `"${'x'.repeat(300_000)}"`,
])('an answer of the realm that begins with %.20s is no token', async (body) => {
  await using realm = await startRealm(() => 200, body)
  const failure = await failureOf(realm.answer())
  expect(failure).toMatchObject({ name: 'OciError' })
  expect(String(failure).length).toBeLessThan(200)
})

test('an empty token does not hide an access_token', async () => {
  await using realm = await startRealm(() => 200, '{"token":"","access_token":"abc"}')
  expect(await realm.answer()).toBe('Bearer abc')
})

test('a realm may redirect within its host', async () => {
  await using realm = await startRealm(({ path }) => (path === '/token' ? 307 : 200))
  expect(await realm.answer({ credentials: fixed(password) })).toBe('Bearer abc')
  expect(realm.seen.map(({ path }) => path)).toEqual(['/token', '/moved'])
})

test('a realm that redirects in a circle is given up', async () => {
  await using realm = await startRealm(() => 302)
  await expect(realm.answer()).rejects.toThrow('redirects more than 3 times')
})

test.each([
  ['a password', { credentials: fixed(password) }],
  ['nothing', {}],
])('a realm that redirects to another host is not followed there with %s', async (_, options) => {
  await using elsewhere = await startHttpServer((_request, response) => response.end('{"token":"abc"}'), '127.0.0.2')
  await using server = await startHttpServer((_request, response) => {
    response.writeHead(302, { location: elsewhere.url }).end()
  })
  await using user = new TokenUser(server.url, options)
  const answer = user.tokens.answer(`Bearer realm="${server.url}/token"`, repository, undefined)
  await expect(answer).rejects.toThrow(`names ${new URL(elsewhere.url).host} as its realm`)
  expect(elsewhere.requests).toEqual([])
})

test('a form that is redirected is not sent elsewhere', async () => {
  await using realm = await startRealm(() => 307)
  await expect(realm.answer({ credentials: fixed(identityToken) })).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
  expect(realm.seen).toHaveLength(1)
})

test.each([
  ['a password', password],
  ['an identity token', identityToken],
])('no error shows %s, not even one that the realm repeats', async (_, credentials) => {
  const echo = JSON.stringify({ token: 's3cret:word id3ntity', details: 's3cret:word id3ntity' })
  for (const status of [200, 302, 401, 429, 500]) {
    await using realm = await startRealm(() => status, echo)
    const failure = await failureOf(realm.answer({ credentials: fixed(credentials) }))
    expect(JSON.stringify([String(failure), failure])).not.toMatch(/s3cret|id3ntity|YW5uO/)
    expect((failure as Error).cause).toBeUndefined()
  }
})
