import type { ServerResponse } from 'node:http'
import { expect, test, vi } from 'vitest'
import { startHttpServer } from '../http-server.testbed.ts'
import { digestOf } from '../oci/digest.ts'
import { startTrapServer } from './https-server.testbed.ts'
import { createRegistryClient } from './registry-client.testbed.ts'
import { type AnyUpstream, Upstreams } from './upstreams.ts'

const create = vi.fn<AnyUpstream['create']>((name, url) =>
  createRegistryClient(url.href, { name, publicOnly: true, tls: { insecure: true } }),
)

function anyHost(configured: readonly string[] = [], defaultName?: string): Upstreams {
  create.mockClear()
  const clients = configured.map((name) => createRegistryClient('http://127.0.0.1:1', { name }))
  return new Upstreams(clients, { defaultName, any: { create } })
}

test.each([
  ['org/app', 'ghcr.io', 'ghcr.io', 'org/app', 'https://ghcr.io/'],
  ['org/app', 'GHCR.io:443', 'ghcr.io', 'org/app', 'https://ghcr.io/'],
  ['org/app', 'registry.example:5000', 'registry.example:5000', 'org/app', 'https://registry.example:5000/'],
  ['org/app', 'xn--bcher-kva.example', 'xn--bcher-kva.example', 'org/app', 'https://xn--bcher-kva.example/'],
  ['app', 'docker.io', 'docker.io', 'library/app', 'https://registry-1.docker.io/'],
  ['app', 'index.docker.io', 'docker.io', 'library/app', 'https://registry-1.docker.io/'],
  ['app', 'registry-1.docker.io', 'docker.io', 'library/app', 'https://registry-1.docker.io/'],
  ['ghcr.io/org/app', undefined, 'ghcr.io', 'org/app', 'https://ghcr.io/'],
  ['registry.example:5000/app', undefined, 'registry.example:5000', 'app', 'https://registry.example:5000/'],
  ['docker.io/app', undefined, 'docker.io', 'library/app', 'https://registry-1.docker.io/'],
  // The default upstream may be one of the hosts of `*`.
  ['app', undefined, 'docker.io', 'library/app', 'https://registry-1.docker.io/'],
])('* takes %s with ns=%s to %s', (name, ns, upstream, repository, url) => {
  const target = anyHost([], 'docker.io').resolve(name, ns)
  expect([target.upstream.name, target.repository]).toEqual([upstream, repository])
  expect(create.mock.calls.map(([host, at]) => [host, at.href])).toEqual([[upstream, url]])
})

test.each([
  ['app', 'ghcr.io'],
  ['ghcr.io/app', undefined],
  ['app', 'GHCR.IO:443'],
  ['registry/app', undefined],
  ['app', 'docker.io'],
  ['app', 'index.docker.io'],
  ['library/app', undefined],
])('the configured upstreams go before *: %s with ns=%s', (name, ns) => {
  anyHost(['ghcr.io', 'registry', 'docker.io'], 'docker.io').resolve(name, ns)
  expect(create).not.toHaveBeenCalled()
})

test('a first path segment that is no host belongs to the default upstream', () => {
  expect(anyHost(['docker.io'], 'docker.io').resolve('org/app', undefined).upstream.name).toBe('docker.io')
  expect(() => anyHost(['docker.io']).resolve('org/app', undefined)).toThrow('names no configured upstream')
})

const NOT_PUBLIC = [
  '127.0.0.1',
  '127.0.0.1.',
  '127.1',
  '2130706433',
  '0x7f000001',
  '0x7f.0x1',
  '0x7f.1',
  '0177.0.0.1',
  '0.0.0.0',
  '[::1]',
  '::1',
  '[::ffff:127.0.0.1]',
  '１２７.０.０.１',
  '①②⑦.0.0.1',
  '127。0。0。1',
  '%31%32%37.0.0.1',
  '127.0.0.1%2f.example',
  'ghcr.io%00.127.0.0.1',
  'localhost',
  'LOCALHOST',
  'a.localhost',
  'localhost.localdomain',
  'registry',
  'vault.internal',
  'registry.svc.cluster.local',
  'ghcr.io.',
  'ghcr..io',
  '.ghcr.io',
  '-ghcr.io',
  'ghcr_.io',
  'bücher.example',
  'doc\u212Aer.io',
  'user@ghcr.io',
  'ghcr.io@127.0.0.1',
  'user:password@127.0.0.1',
  'ghcr.io#@127.0.0.1',
  'ghcr.io?@127.0.0.1',
  'ghcr.io\\@127.0.0.1',
  'ghcr.io/@127.0.0.1',
  'https://ghcr.io',
  '//127.0.0.1',
  ' ghcr.io',
  'ghcr.io\n',
  'ghcr.io\r\nhost: 127.0.0.1',
  'a.'.repeat(130) + 'example',
  `${'a'.repeat(64)}.example`,
  '',
  '*',
  '.',
]

test.each(NOT_PUBLIC)('ns=%j makes no client and no connection, with a port or without', async (host) => {
  await using trap = await startTrapServer()
  await using upstreams = anyHost(['docker.io'], 'docker.io')
  const unknown = expect.objectContaining({ code: 'NAME_UNKNOWN' })
  for (const ns of [host, `${host}:${trap.port}`]) {
    expect(() => upstreams.resolve('org/app', ns)).toThrow(unknown)
  }
  expect(create).not.toHaveBeenCalled()
  expect(trap.caught).toBe(0)
})

test.each([
  'ghcr.io:',
  'ghcr.io:0',
  'ghcr.io:00443',
  'ghcr.io:65536',
  'ghcr.io:99999',
  'ghcr.io:+1',
  'ghcr.io:443:443',
])('ns=%s has no port that is one', (ns) => {
  const unknown = expect.objectContaining({ code: 'NAME_UNKNOWN' })
  expect(() => anyHost().resolve('org/app', ns)).toThrow(unknown)
  expect(create).not.toHaveBeenCalled()
})

test.each(['127.0.0.1', 'localhost', '127.1', 'registry:5000', '[::1]', 'user@ghcr.io', 'ghcr.io.'])(
  'a path that begins with %s leads nowhere, not to the default upstream either',
  (first) => {
    const upstreams = anyHost(['docker.io'], 'docker.io')
    const unknown = expect.objectContaining({ code: 'NAME_UNKNOWN' })
    expect(() => upstreams.resolve(`${first}/org/app`, undefined)).toThrow(unknown)
    expect(create).not.toHaveBeenCalled()
  },
)

test('a name that is none makes no client', () => {
  const invalid = expect.objectContaining({ code: 'NAME_INVALID' })
  expect(() => anyHost().resolve('Org/../app', 'ghcr.io')).toThrow(invalid)
  expect(create).not.toHaveBeenCalled()
})

test('what stands behind a public name is asked by a client that reaches no private address', async () => {
  await using trap = await startTrapServer()
  await using upstreams = anyHost()
  // Only the guard stands between this one and the trap: the URL is not what resolve() has checked.
  create.mockImplementationOnce((name) =>
    createRegistryClient(`https://127.0.0.1:${trap.port}`, { name, publicOnly: true, tls: { insecure: true } }),
  )
  const { upstream, repository } = upstreams.resolve('org/app', 'ghcr.io')
  const { signal } = new AbortController()
  await expect(upstream.resolveTag({ repository }, 'latest', signal)).rejects.toMatchObject({ code: 'DENIED' })
  expect(trap.caught).toBe(0)
})

test('a host keeps its client while it is among those asked for lately', () => {
  const upstreams = new Upstreams([], { any: { create, maxHosts: 2 } })
  const clientOf = (host: string) => upstreams.resolve('org/app', host).upstream
  const [a, b] = [clientOf('a.example'), clientOf('b.example')]
  expect(clientOf('a.example')).toBe(a)
  expect(clientOf('A.example:443')).toBe(a)
  clientOf('c.example')
  expect(clientOf('a.example')).toBe(a)
  expect(clientOf('b.example')).not.toBe(b)
})

test('a client that had to go for another one finishes what it is used for', async () => {
  const digest = digestOf(Buffer.from('0123456789'))
  const responses: ServerResponse[] = []
  await using server = await startHttpServer((_request, response) => {
    response.writeHead(200, { 'content-length': 10 })
    response.write('01234')
    responses.push(response)
  })
  const toServer: AnyUpstream['create'] = (name) => createRegistryClient(server.url, { name })
  await using upstreams = new Upstreams([], { any: { create: toServer, maxHosts: 1 } })
  const { upstream, repository } = upstreams.resolve('org/app', 'a.example')
  const { signal } = new AbortController()
  const open = () => upstream.open({ repository }, { kind: 'blobs', digest }, { offset: 0, signal })
  for (const nth of [0, 1]) {
    const { body } = await open()
    upstreams.resolve('org/app', 'b.example')
    responses[nth]!.end('56789')
    expect(Buffer.concat(await body.toArray()).toString()).toBe('0123456789')
  }
  expect(server.requests.length).toBe(2)
})
