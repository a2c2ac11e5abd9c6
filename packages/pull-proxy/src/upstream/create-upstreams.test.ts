import { expect, test } from 'vitest'
import { digestOf } from '../oci/digest.ts'
import type { ProxyOptions } from '../proxy-options.ts'
import { ProxyStats } from '../status/proxy-stats.ts'
import { createUpstreams } from './create-upstreams.ts'
import { NO_PLACE } from './request-gate.ts'
import type { UpstreamOptions } from './upstream-options.ts'

const url = new URL('https://registry.example')

function create(upstreams: readonly UpstreamOptions[], options: Partial<ProxyOptions> = {}) {
  const anyPort = { host: '127.0.0.1', port: 0 }
  const keys: [string, number][] = []
  const asked: string[] = []
  const created = createUpstreams(
    { node: 'a', store: 'unused', listen: anyPort, peerListen: anyPort, upstreams, ...options },
    {
      stats: new ProxyStats(),
      coordinator: {
        takePlace: (key, limit) => {
          keys.push([key, limit])
          return Promise.resolve(NO_PLACE)
        },
        publish: () => Promise.resolve(),
        lookUp: (key) => {
          asked.push(key)
          return Promise.resolve({ value: { retryAfterMs: 60_000, message: 'no requests in this test' }, ageMs: 0 })
        },
      },
    },
  )
  return { upstreams: created, keys, asked }
}

test.each([
  [{ name: 'registry.example' }, 'registry.example: has no url'],
  [{ name: '*', url }, '*: url: must be left out'],
  [{ name: 'my_registry', url, auth: 'passthrough' }, '"my_registry": is not a registry'],
  [{ name: '*', credentials: { kind: 'password', username: 'u', password: 's3cret' } }, 'a password would go to any'],
  [{ name: '*', credentials: { kind: 'passwordFile', username: 'u', path: '/s3cret' } }, 'a passwordFile would'],
  [{ name: '*', credentials: { kind: 'tokenFile', path: '/s3cret' } }, 'a tokenFile would go to any host'],
] as const)('createUpstreams() refuses %j', (upstream, message) => {
  expect(() => create([upstream])).toThrow(message)
  expect(() => create([upstream])).not.toThrow('s3cret')
})

test('createUpstreams() gives each upstream its own policy, and what the proxy says where it has none', async () => {
  const { upstreams } = create(
    [
      { name: 'a.example', url, tags: { policy: 'pin', maxStaleMs: 5 }, auth: 'passthrough', retries: 7 },
      { name: 'b.example', url },
      { name: '*' },
    ],
    { tagTtlMs: 3, tagMaxStaleMs: 4 },
  )
  await using _upstreams = upstreams
  const of = (name: string) => upstreams.resolve('library/app', name).upstream
  expect(of('a.example')).toMatchObject({
    tags: { policy: 'pin', ttlMs: 3, maxStaleMs: 5 },
    passthrough: true,
    retries: 7,
  })
  expect(of('b.example')).toMatchObject({
    tags: { policy: 'ttl', ttlMs: 3, maxStaleMs: 4 },
    passthrough: false,
    retries: 3,
  })
  expect(of('c.example')).toMatchObject({ name: 'c.example', tags: { policy: 'ttl', ttlMs: 3, maxStaleMs: 4 } })
})

test('createUpstreams() counts the places of each host, whoever asks, and keeps its pause, by its name', async () => {
  const { upstreams, keys, asked } = create([{ name: 'a.example', url, clusterConcurrency: 5 }, { name: '*' }])
  await using _upstreams = upstreams
  for (const name of ['a.example', 'c.example']) {
    const { upstream, repository } = upstreams.resolve('library/app', name)
    const visitor = { id: 'alice', authorization: 'Basic x' }
    const { signal } = new AbortController()
    const content = { kind: 'blobs', digest: digestOf(Buffer.from('x')) } as const
    const opening = upstream.open({ repository, visitor }, content, { offset: 0, signal })
    await expect(opening).rejects.toThrow('no requests in this test')
    await expect(upstream.resolveTag({ repository }, 'latest', signal)).rejects.toThrow('no requests in this test')
  }
  expect(keys).toEqual([
    ['upstream/a.example/5', 5],
    ['upstream/c.example/64', 64],
  ])
  expect(asked).toEqual(['pause/a.example', 'pause/c.example'])
})
