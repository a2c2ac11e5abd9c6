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
import { afterAll, beforeAll, expect, test } from 'vitest'
import { failureOf } from '../failure-of.testbed.ts'
import { startHttpServer } from '../http-server.testbed.ts'
import { OciError } from '../oci/oci-error.ts'
import { parseRepository } from '../oci/repository.ts'
import { HttpExchange } from './http-exchange.ts'
import { createRegistryClient } from './registry-client.testbed.ts'
import type { RegistryClient } from './registry-client.ts'
import { TokenSource } from './token-source.ts'

const repository = parseRepository('library/app')
const { signal } = new AbortController()
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

async function startRegistry(auth: NonNullable<Parameters<typeof startRegistryServer>[0]>['auth'] = {}) {
  const registry = await startRegistryServer({ auth })
  for (const name of ['library/app', 'library/other']) {
    registry.contents.addImage(image, { repository: name, tag: 'latest' })
  }
  return registry
}

const resolve = (client: RegistryClient, name = repository) => client.resolveTag(name, 'latest', signal)
const tokensOf = ({ requests }: RegistryServer) => requests.countOf({ kind: 'token' })

test('a token is fetched as the challenge says, and used again', async () => {
  await using registry = await startRegistry()
  await using client = createRegistryClient(registry.url)
  await resolve(client)
  await resolve(client)
  expect(registry.requests.all.map(({ kind, status }) => `${kind} ${status}`)).toEqual([
    'manifest 401',
    'token 200',
    'manifest 200',
    'manifest 200',
  ])
})

test('a token is for one repository', async () => {
  await using registry = await startRegistry()
  await using client = createRegistryClient(registry.url)
  await resolve(client)
  await resolve(client, parseRepository('library/other'))
  expect(tokensOf(registry)).toBe(2)
})

test('callers that come at the same time share one request for a token', async () => {
  await using registry = await startRegistry()
  registry.latencyMs = 20
  await using client = createRegistryClient(registry.url)
  await Promise.all(Array.from({ length: 8 }, () => resolve(client)))
  expect(tokensOf(registry)).toBe(1)
})

test('callers that are refused in the same moment share one request for a token', async () => {
  await using server = await startHttpServer((_request, response) => response.end('{"token":"abc"}'))
  await using exchange = new HttpExchange({ timeouts: { connectMs: 1_000, headersMs: 1_000, idleMs: 1_000 } })
  const tokens = new TokenSource({ exchange, base: new URL(server.url), onRequest: () => undefined })
  const challenge = `Bearer realm="${server.url}/token"`
  const asked = [1, 2, 3].map(() => tokens.answer(challenge, repository, undefined))
  expect(await Promise.all(asked)).toEqual(['abc', 'abc', 'abc'])
  expect(server.requests).toHaveLength(1)
})

test('callers that share a request for a token share its failure', async () => {
  await using server = await startHttpServer((_request, response) => {
    setTimeout(() => response.writeHead(429).end(), 30)
  })
  await using exchange = new HttpExchange({ timeouts: { connectMs: 1_000, headersMs: 1_000, idleMs: 1_000 } })
  const tokens = new TokenSource({ exchange, base: new URL(server.url), onRequest: () => undefined })
  const ask = () => failureOf(tokens.answer(`Bearer realm="${server.url}/token"`, repository, undefined))
  const first = ask()
  await waitFor(() => server.requests.length === 1, { what: 'the request for a token' })
  const failures = await Promise.all([first, ask(), ask()])
  expect(failures.every((failure) => failure instanceof OciError && failure.code === 'TOOMANYREQUESTS')).toBe(true)
  expect(server.requests.length).toBeLessThanOrEqual(2)
})

test('a token that is refused is replaced, once for all who used it', async () => {
  await using registry = await startRegistry()
  await using client = createRegistryClient(registry.url)
  await resolve(client)
  registry.auth?.revokeAll()
  registry.latencyMs = 20
  await Promise.all(Array.from({ length: 8 }, () => resolve(client)))
  expect(tokensOf(registry)).toBe(2)
})

test('a token that is about to expire is not used', async () => {
  await using server = await startHttpServer(({ url, headers }, response) => {
    if (url?.startsWith('/token') === true) response.end('{"token":"abc","expires_in":0.01}')
    else if (headers.authorization !== undefined) response.end('{}')
    else response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${headers.host}/token"` }).end()
  })
  await using client = createRegistryClient(server.url)
  const read = async () => (await client.list(repository, 'tags/list', '', signal)).body.resume()
  await read()
  await new Promise((done) => setTimeout(done, 20))
  await read()
  const tokens = server.requests.filter(({ url }) => url?.startsWith('/token'))
  const sent = server.requests.filter(({ url }) => url === '/v2/library/app/tags/list')
  expect(tokens).toHaveLength(2)
  expect(sent.map(({ headers }) => headers.authorization)).toEqual([undefined, 'Bearer abc', undefined, 'Bearer abc'])
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
  await using client = createRegistryClient(registry.url)
  await expect(resolve(client)).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
  expect(registry.requests.countOf({ kind: 'manifest' })).toBe(2)
})

test.each([
  [401, 'UNAUTHORIZED'],
  [403, 'UNAUTHORIZED'],
  [429, 'TOOMANYREQUESTS'],
  [503, 'UNKNOWN'],
])('a realm that answers %i gives %s, and is asked again the next time', async (status, code) => {
  await using registry = await startRegistry()
  registry.fault = ({ kind }) => (kind === 'token' ? { kind: 'status', status } : undefined)
  await using client = createRegistryClient(registry.url)
  await expect(resolve(client)).rejects.toMatchObject({ code })
  registry.fault = undefined
  expect(await resolve(client)).toMatchObject({ digest: image.top.digest })
})

test.each(['', '{}', '{"token":5}', '{"token":"with spaces"}', '[]', 'null'])(
  'an answer of the realm that is %j is no token',
  async (body) => {
    await using registry = await startRegistry()
    registry.fault = ({ kind }) => (kind === 'token' ? { kind: 'status', status: 200, body } : undefined)
    await using client = createRegistryClient(registry.url)
    await expect(resolve(client)).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
  },
)

test('access_token is taken where there is no token', async () => {
  await using server = await startHttpServer((_request, response) => response.end('{"access_token":"abc"}'))
  expect(await answer(`Bearer realm="${server.url}/token"`, 'http://registry.example')).toBe('abc')
  expect(server.requests[0]?.url).toBe('/token?scope=repository%3Alibrary%2Fapp%3Apull')
})

test('the query of the realm is kept', async () => {
  await using server = await startHttpServer((_request, response) => response.end('{"token":"abc"}'))
  const challenge = `Bearer realm="${server.url}/token?account=x",service="s",scope="repository:library/app:pull"`
  await answer(challenge, 'http://registry.example')
  const { searchParams } = new URL(server.requests[0]!.url!, server.url)
  expect(Object.fromEntries(searchParams)).toEqual({ account: 'x', service: 's', scope: 'repository:library/app:pull' })
})

test.each([
  ['there is no challenge', undefined],
  ['only credentials are wanted', 'Basic realm="x"'],
  ['there is no realm', 'Bearer service="x"'],
  ['the realm is no URL', 'Bearer realm="token"'],
  ['the realm is no http URL', 'Bearer realm="file:///etc/passwd"'],
  ['the realm of an https registry has no https', 'Bearer realm="http://127.0.0.1:1/token"'],
])('no token is asked for when %s', async (_, challenge) => {
  await expect(answer(challenge, 'https://registry.example')).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
})

/** Answers a challenge of a registry. */
async function answer(challenge: string | undefined, registry: string): Promise<string> {
  await using exchange = new HttpExchange({ timeouts: { connectMs: 1_000, headersMs: 1_000, idleMs: 1_000 } })
  const tokens = new TokenSource({ exchange, base: new URL(registry), onRequest: () => undefined })
  return await tokens.answer(challenge, repository, undefined)
}
