import { expect, test } from 'vitest'
import { createRegistryClient } from './registry-client.testbed.ts'
import { Upstreams } from './upstreams.ts'

const names = ['docker.io', 'ghcr.io', 'registry.example:5000']
const upstreams = new Upstreams(
  names.map((name) => createRegistryClient('http://127.0.0.1:1', { name })),
  { defaultName: 'docker.io' },
)

test.each([
  ['library/app', undefined, 'docker.io', 'library/app'],
  ['app', undefined, 'docker.io', 'library/app'],
  ['app', 'docker.io', 'docker.io', 'library/app'],
  ['docker.io/app', undefined, 'docker.io', 'library/app'],
  ['docker.io/library/app', undefined, 'docker.io', 'library/app'],
  ['ghcr.io/org/app', undefined, 'ghcr.io', 'org/app'],
  ['ghcr.io/app', undefined, 'ghcr.io', 'app'],
  ['org/app', 'ghcr.io', 'ghcr.io', 'org/app'],
  // What `ns` names goes before what the path seems to name.
  ['docker.io/app', 'ghcr.io', 'ghcr.io', 'docker.io/app'],
  ['registry.example:5000/a/b/c', undefined, 'registry.example:5000', 'a/b/c'],
  ['a/b', 'registry.example:5000', 'registry.example:5000', 'a/b'],
  // A registry that is not configured is none: its name is part of the repository's.
  ['quay.io/org/app', undefined, 'docker.io', 'quay.io/org/app'],
])('resolve() takes %s with ns=%s to %s and %s', (name, ns, upstream, repository) => {
  const target = upstreams.resolve(name, ns)
  expect([target.upstream.name, target.repository]).toEqual([upstream, repository])
})

test.each(['quay.io', '', '127.0.0.1:80', 'constructor'])('resolve() reaches nothing for ns=%j', (ns) => {
  expect(() => upstreams.resolve('org/app', ns)).toThrow(expect.objectContaining({ code: 'NAME_UNKNOWN' }))
})

test.each(['GHCR.IO', 'ghcr.io:443', 'index.docker.io', 'registry-1.docker.io'])(
  'resolve() knows %s as one of the configured ones by another spelling',
  (ns) => {
    const { upstream, repository } = upstreams.resolve('app', ns)
    const isHub = ns.endsWith('docker.io')
    expect([upstream.name, repository]).toEqual(isHub ? ['docker.io', 'library/app'] : ['ghcr.io', 'app'])
  },
)

test.each(['docker.io.', 'ghcr.io:80', 'evil.index.docker.io', '*'])('resolve() does not take ns=%s for any', (ns) => {
  expect(() => upstreams.resolve('org/app', ns)).toThrow(expect.objectContaining({ code: 'NAME_UNKNOWN' }))
})

test.each(['Upper/case', 'docker.io/', 'a//b', 'a/../b', '/a'])('resolve() refuses the name %j', (name) => {
  expect(() => upstreams.resolve(name, undefined)).toThrow(expect.objectContaining({ code: 'NAME_INVALID' }))
})

test('resolve() needs a name of an upstream where there is no default one', () => {
  const without = new Upstreams([createRegistryClient('http://127.0.0.1:1')])
  expect(without.resolve('docker.io/app', undefined).repository).toBe('library/app')
  expect(() => without.resolve('org/app', undefined)).toThrow(expect.objectContaining({ code: 'NAME_UNKNOWN' }))
})
