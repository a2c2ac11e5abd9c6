import {
  createImage,
  createLayer,
  type Image,
  type RegistryServer,
  startRegistryServer,
  temporaryFolder,
  type TemporaryFolder,
  waitFor,
} from '@layerlock/test-support'
import type { ServerResponse } from 'node:http'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { failureOf } from '../failure-of.testbed.ts'
import { startHttpServer } from '../http-server.testbed.ts'
import { parseRepository } from '../oci/repository.ts'
import type { CredentialRequest } from './credentials/credential-source.ts'
import { fixed, password, repository, TokenUser } from './token-source.testbed.ts'

let folder: TemporaryFolder
let image: Image

beforeAll(async () => {
  folder = await temporaryFolder('token')
  const layer = await createLayer({ folder: folder.path, sizeBytes: 4096, seed: 'token' })
  image = await createImage({ folder: folder.path, layers: [layer] })
})

afterAll(async () => {
  await folder[Symbol.asyncDispose]()
})

afterEach(() => {
  vi.useRealTimers()
})

async function startRegistry(auth: NonNullable<Parameters<typeof startRegistryServer>[0]>['auth'] = {}) {
  const registry = await startRegistryServer({ auth })
  for (const name of ['library/app', 'library/other']) {
    registry.contents.addImage(image, { repository: name, tag: 'latest' })
  }
  return registry
}

const tokensOf = ({ requests }: RegistryServer) => requests.countOf({ kind: 'token' })

/** A server of tokens that are called `1`, `2`, and so on. */
async function startTokenServer({ expiresInS = 300 } = {}) {
  let count = 0
  return startHttpServer((_request, response) => {
    response.end(JSON.stringify({ token: String(++count), expires_in: expiresInS }))
  })
}

test('a token is fetched as the challenge says, and used again', async () => {
  await using registry = await startRegistry()
  await using user = new TokenUser(registry.url)
  await user.status()
  await user.status()
  expect(registry.requests.all.map(({ kind, status }) => `${kind} ${status}`)).toEqual([
    'manifest 401',
    'token 200',
    'manifest 200',
    'manifest 200',
  ])
})

test('a token is for one repository', async () => {
  await using registry = await startRegistry()
  await using user = new TokenUser(registry.url)
  const statuses = [await user.status(), await user.status(parseRepository('library/other'))]
  expect(statuses).toEqual([200, 200])
  expect(tokensOf(registry)).toBe(2)
})

test('a token that wants a password is had with the configured one, and not with another', async () => {
  await using registry = await startRegistry({ credentials: { user: 'ann', password: 's3cret:word' } })
  await using user = new TokenUser(registry.url, { credentials: fixed(password) })
  expect(await user.status()).toBe(200)
  await using stranger = new TokenUser(registry.url, { credentials: fixed({ ...password, username: 'bob' }) })
  await expect(stranger.status()).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
  await using nobody = new TokenUser(registry.url)
  await expect(nobody.status()).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
})

test('callers that come at the same time share one request for a token', async () => {
  await using registry = await startRegistry()
  registry.latencyMs = 20
  await using user = new TokenUser(registry.url)
  await Promise.all(Array.from({ length: 8 }, () => user.status()))
  expect(tokensOf(registry)).toBe(1)
})

test('callers that are refused in the same moment share one request for a token', async () => {
  await using server = await startTokenServer()
  await using user = new TokenUser(server.url)
  const challenge = `Bearer realm="${server.url}/token"`
  const asked = [1, 2, 3].map(() => user.tokens.answer(challenge, repository, undefined))
  expect(await Promise.all(asked)).toEqual(['Bearer 1', 'Bearer 1', 'Bearer 1'])
  expect(server.requests).toHaveLength(1)
})

test('callers that share a request for a token share its failure', async () => {
  const waiting: ServerResponse[] = []
  await using server = await startHttpServer((_request, response) => waiting.push(response))
  await using user = new TokenUser(server.url)
  const ask = () => failureOf(user.tokens.answer(`Bearer realm="${server.url}/token"`, repository, undefined))
  const failures = Promise.all([ask(), ask(), ask()])
  await waitFor(() => waiting.length === 1, { what: 'the request for a token' })
  waiting[0]!.writeHead(429, { 'retry-after': '7' }).end()
  for (const failure of await failures) {
    expect(failure).toMatchObject({ code: 'TOOMANYREQUESTS', retryAfterMs: 7_000 })
  }
  expect(server.requests).toHaveLength(1)
})

test('a token that is refused is replaced, once for all who used it', async () => {
  await using registry = await startRegistry()
  await using user = new TokenUser(registry.url)
  await user.status()
  registry.auth?.revokeAll()
  registry.latencyMs = 20
  const statuses = await Promise.all(Array.from({ length: 8 }, () => user.status()))
  expect(new Set(statuses)).toEqual(new Set([200]))
  expect(tokensOf(registry)).toBe(2)
})

test('a token is replaced while it still serves, and not used when it is over', async () => {
  vi.useFakeTimers({ toFake: ['performance'] })
  await using server = await startTokenServer({ expiresInS: 100 })
  await using user = new TokenUser(server.url)
  const challenge = `Bearer realm="${server.url}/token"`
  await user.tokens.answer(challenge, repository, undefined)
  vi.advanceTimersByTime(79_000)
  expect(await user.tokens.known(repository)).toBe('Bearer 1')
  expect(server.requests).toHaveLength(1)
  vi.advanceTimersByTime(2_000)
  expect(await user.tokens.known(repository)).toBe('Bearer 1')
  await waitFor(async () => (await user.tokens.known(repository)) === 'Bearer 2', { what: 'the next token' })
  vi.advanceTimersByTime(101_000)
  expect(await user.tokens.known(repository)).toBeUndefined()
  expect(await user.tokens.answer(challenge, repository, undefined)).toBe('Bearer 3')
})

test('a token serves to its end when the next one cannot be had', async () => {
  vi.useFakeTimers({ toFake: ['performance'] })
  const statuses = [200]
  await using server = await startHttpServer((_request, response) => {
    response.writeHead(statuses.shift() ?? 503).end('{"token":"abc","expires_in":100}')
  })
  await using user = new TokenUser(server.url)
  await user.tokens.answer(`Bearer realm="${server.url}/token"`, repository, undefined)
  vi.advanceTimersByTime(81_000)
  await waitFor(
    async () => {
      expect(await user.tokens.known(repository)).toBe('Bearer abc')
      return server.requests.length > 2
    },
    { what: 'another try' },
  )
  vi.advanceTimersByTime(20_000)
  expect(await user.tokens.known(repository)).toBeUndefined()
})

test('a challenge with another scope gets another token', async () => {
  await using server = await startTokenServer()
  await using user = new TokenUser(server.url)
  const challenge = (scope: string) => `Bearer realm="${server.url}/token",scope="${scope}",error="insufficient_scope"`
  const first = await user.tokens.answer(challenge('repository:library/app:pull'), repository, undefined)
  await user.tokens.answer(challenge('repository:library/app:pull,push registry:catalog:*'), repository, first)
  expect(await user.tokens.known(repository)).toBe('Bearer 2')
  const scopes = server.requests.map(({ url }) => new URL(url!, server.url).searchParams.getAll('scope'))
  expect(scopes).toEqual([['repository:library/app:pull'], ['repository:library/app:pull,push', 'registry:catalog:*']])
})

test('a fresh token that is refused is the end of it', async () => {
  await using registry = await startRegistry()
  registry.fault = ({ kind }) =>
    kind === 'manifest'
      ? {
          kind: 'status',
          status: 401,
          headers: { 'www-authenticate': `Bearer realm="${registry.url}/token",service="registry.test"` },
        }
      : undefined
  await using user = new TokenUser(registry.url)
  expect(await user.status()).toBe(401)
  expect(registry.requests.countOf({ kind: 'manifest' })).toBe(2)
})

test('tokens of the repositories that were asked for last are kept, and no more of them', async () => {
  await using server = await startTokenServer()
  await using user = new TokenUser(server.url)
  const names = Array.from({ length: 1_001 }, (_, index) => parseRepository(`library/app-${index}`))
  for (const name of names) await user.tokens.answer(`Bearer realm="${server.url}/token"`, name, undefined)
  expect(await user.tokens.known(names[0]!)).toBeUndefined()
  expect(await user.tokens.known(names[1]!)).toBe('Bearer 2')
})

test('a password that the realm refused is looked up anew the next time', async () => {
  await using registry = await startRegistry({ credentials: { user: 'ann', password: 's3cret:word' } })
  let current = 'remembered'
  const credentials = {
    get: ({ fresh }: CredentialRequest) => {
      if (fresh === true) current = password.password
      return Promise.resolve({ ...password, password: current })
    },
  }
  await using user = new TokenUser(registry.url, { credentials })
  await expect(user.status()).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
  expect(await user.status()).toBe(200)
})

test('credentials that appear later are not sent to a realm that was right for none', async () => {
  let requests = 0
  let asked = 0
  const credentials = { get: () => Promise.resolve(asked++ === 0 ? undefined : password) }
  const options = { credentials, onRequest: () => requests++ }
  await using user = new TokenUser('https://registry.example.com', options)
  const answer = user.tokens.answer('Bearer realm="https://auth.stranger.com/token"', repository, undefined)
  await expect(answer).rejects.toThrow('credentials are not sent there')
  expect(requests).toBe(0)
})

test('bearer goes before basic, and basic is taken where the realm of bearer cannot be', async () => {
  await using server = await startTokenServer()
  await using user = new TokenUser(server.url, { credentials: fixed(password) })
  const answer = (realm: string) =>
    user.tokens.answer(`Basic realm="x", Bearer realm="${realm}"`, repository, undefined)
  expect(await answer('https://auth.stranger.example/token')).toBe(`Basic ${btoa('ann:s3cret:word')}`)
  expect(await answer(`${server.url}/token`)).toBe('Bearer 1')
})

test.each([
  ['there is no challenge', undefined],
  ['only credentials are wanted', 'Basic realm="x"'],
  ['there is no realm', 'Bearer service="x"'],
  ['the realm is no URL', 'Bearer realm="token"'],
  ['the realm is no http URL', 'Bearer realm="file:///etc/passwd"'],
  ['the realm of an https registry has no https', 'Bearer realm="http://registry.example/token"'],
])('without credentials nothing is asked for when %s', async (_, challenge) => {
  let requests = 0
  await using user = new TokenUser('https://registry.example', { onRequest: () => requests++ })
  await expect(user.tokens.answer(challenge, repository, undefined)).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
  expect(requests).toBe(0)
})
