import { expect, test } from 'vitest'
import type { ProxyOptions } from '../proxy-options.ts'
import { peerToken } from './peer-token.ts'

const anyPort = { host: '127.0.0.1', port: 0 }
const docker = { name: 'docker.io', url: new URL('http://127.0.0.1:1') }
const open: ProxyOptions = { node: 'a', store: 'unused', listen: anyPort, peerListen: anyPort, upstreams: [docker] }
const lockServer = { url: 'http://127.0.0.1:1' }
const LIMITED: readonly [string, Partial<ProxyOptions>][] = [
  ['auth = passthrough of the upstream docker.io', { upstreams: [{ ...docker, auth: 'passthrough' }] }],
  ['the list of users', { users: [] }],
  ['clientCa', { tls: { cert: 'a', key: 'b', clientCa: 'c' } }],
]

test('the peer API of a node that no other one knows of wants a token that nobody has', () => {
  const [one, other] = [peerToken(open), peerToken(open)]
  expect(one).toMatch(/^[\w-]{43}$/)
  expect(one).not.toBe(other)
})

test('a cluster whose nodes serve all who reach them may do without a token', () => {
  expect(peerToken({ ...open, lockServer })).toBeUndefined()
  expect(peerToken({ ...open, lockServer, tls: { cert: 'a', key: 'b' } })).toBeUndefined()
})

test.each(LIMITED)('a cluster needs a token because of %s', (reason, options) => {
  expect(() => peerToken({ ...open, lockServer, ...options })).toThrow(TypeError)
  expect(() => peerToken({ ...open, lockServer, ...options })).toThrow(
    `clusterToken: is missing; without it the peer API gives to everyone what ${reason} keeps back`,
  )
  expect(peerToken({ ...open, lockServer, ...options, clusterToken: 'secret' })).toBe('secret')
  expect(peerToken({ ...open, ...options })).toMatch(/^[\w-]{43}$/)
})

test('the token of the cluster is wanted wherever there is one', () => {
  expect(peerToken({ ...open, clusterToken: 'secret' })).toBe('secret')
})
