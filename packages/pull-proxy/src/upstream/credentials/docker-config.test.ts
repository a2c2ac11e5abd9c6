import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { failureOf } from '../../failure-of.testbed.ts'
import { parseRepository } from '../../oci/repository.ts'
import { createCredentialSource } from './create-credential-source.ts'
import { createHelperFolder, gives, type HelperFolder } from './credential-helper.testbed.ts'

const { signal } = new AbortController()
let programs: HelperFolder
let path: string

beforeEach(async () => {
  programs = await createHelperFolder()
  path = join(programs.path, 'config.json')
})

afterEach(async () => {
  await programs[Symbol.asyncDispose]()
})

interface Registry {
  readonly name?: string
  readonly host?: string
}

function source({ name = 'ghcr.io', host = name }: Registry = {}) {
  return createCredentialSource({ kind: 'dockerConfig', path }, name, host, { env: programs.env })
}

/** What a configuration has for a registry. */
async function credentialsIn(config: unknown, registry: Registry = {}, repository?: string) {
  await writeFile(path, typeof config === 'string' ? config : JSON.stringify(config))
  const name = repository === undefined ? undefined : parseRepository(repository)
  return source(registry).get({ signal, repository: name })
}

const hub = { name: 'docker.io', host: 'registry-1.docker.io' }
const login = (username: string, password: string) => ({ auth: btoa(`${username}:${password}`) })
const basic = (username: string, password: string) => ({ kind: 'basic', username, password })

test.each([
  ['https://index.docker.io/v1/', hub],
  ['docker.io', hub],
  ['ghcr.io', {}],
  ['https://ghcr.io', {}],
  ['https://ghcr.io/v1/', {}],
  ['127.0.0.1:5000', { name: 'registry.example', host: '127.0.0.1:5000' }],
])('a login at %s is found', async (key, registry) => {
  expect(await credentialsIn({ auths: { [key]: login('ann', 'p:w') } }, registry)).toEqual(basic('ann', 'p:w'))
})

test('the login of the Hub is not for a mirror elsewhere', async () => {
  const auths = { 'https://index.docker.io/v1/': login('ann', 'pw') }
  expect(await credentialsIn({ auths }, { name: 'docker.io', host: 'mirror.stranger.com' })).toBeUndefined()
})

test.each([
  [{ username: 'ann', password: 'pw' }, basic('ann', 'pw')],
  [{ auth: btoa('ann:pw\0\0') }, basic('ann', 'pw')],
  [
    { ...login('ann', ''), identitytoken: 'id' },
    { kind: 'identityToken', token: 'id', username: 'ann' },
  ],
  [{ identitytoken: 'id' }, { kind: 'identityToken', token: 'id' }],
  [{ auth: '', identitytoken: '' }, undefined],
  [{}, undefined],
  [{ email: 'ann@example.com' }, undefined],
])('the entry %j means %j', async (entry, expected) => {
  expect(await credentialsIn({ auths: { 'ghcr.io': entry } })).toEqual(expected)
})

test.each([
  ['library/app', 'library'],
  ['team/app', 'app'],
  ['team/app/part', 'app'],
  ['team/other', 'team'],
  ['else/app', 'registry'],
])('of the entries for parts of a registry, %s gets that of its longest part: %s', async (repository, username) => {
  const auths = {
    'ghcr.io': login('registry', 'pw'),
    'ghcr.io/library': login('library', 'pw'),
    'ghcr.io/team': login('team', 'pw'),
    'ghcr.io/team/app': login('app', 'pw'),
  }
  expect(await credentialsIn({ auths }, {}, repository)).toEqual(basic(username, 'pw'))
})

test.each([{}, { auths: {} }, { auths: { 'quay.io': login('ann', 'pw') }, HttpHeaders: {} }])(
  'the configuration %j has nothing for ghcr.io',
  async (config) => {
    expect(await credentialsIn(config)).toBeUndefined()
  },
)

test('a helper for the registry goes before the store for all', async () => {
  await programs.write('own', gives('own', 'pw'))
  await programs.write('all', gives('all', 'pw'))
  const config = { credHelpers: { 'ghcr.io': 'own' }, credsStore: 'all', auths: { 'ghcr.io': login('file', 'pw') } }
  expect(await credentialsIn(config)).toEqual(basic('own', 'pw'))
  expect(await credentialsIn(config, hub)).toEqual(basic('all', 'pw'))
  expect(await programs.asked()).toEqual(['get ghcr.io', 'get https://index.docker.io/v1/'])
})

test('where the store for all has nothing, the file may', async () => {
  await programs.write('all', 'echo "credentials not found in native keychain"; exit 1')
  const config = { credsStore: 'all', auths: { 'ghcr.io': login('file', 'pw') } }
  expect(await credentialsIn(config)).toEqual(basic('file', 'pw'))
})

test('a configuration that is replaced is noticed', async () => {
  await writeFile(path, JSON.stringify({ auths: { 'ghcr.io': login('ann', 'one') } }))
  const config = source()
  await config.get({ signal })
  await writeFile(path, JSON.stringify({ auths: { 'ghcr.io': login('ann', 'two') } }))
  expect(await config.get({ signal })).toEqual(basic('ann', 'two'))
})

test.each([
  '',
  '{"auths": {"ghcr.io": {"auth": "czNjcmV0',
  's3cret',
  '[]',
  'null',
  '5',
  '{"auths": []}',
  '{"auths": {"ghcr.io": "s3cret"}}',
  '{"auths": {"ghcr.io": {"auth": "s3cret"}}}',
  `{"auths": {"ghcr.io": {"auth": "${btoa('s3cret')}"}}}`,
  '{"credHelpers": {"ghcr.io": 5}}',
  '{"credHelpers": {"ghcr.io": "../s3cret"}}',
  '{"credsStore": {}}',
  '{"credsStore": "a/b"}',
])('the damaged configuration %j is told, and nothing of it is shown that could be a secret', async (text) => {
  const failure = await failureOf(credentialsIn(text))
  expect(failure).toMatchObject({ name: 'OciError', code: 'UNKNOWN' })
  expect(String(failure)).toMatch(/config\.json|docker-credential-/)
  expect(JSON.stringify([String(failure), failure])).not.toMatch(/(?<!\.\.\/)s3cret|czNjcmV0/)
  expect((failure as Error).cause).toBeUndefined()
})

test('a key that is a part of every object is an entry like others', async () => {
  expect(await credentialsIn('{"auths": {"__proto__": {"username": "ann", "password": "pw"}}}')).toBeUndefined()
})
