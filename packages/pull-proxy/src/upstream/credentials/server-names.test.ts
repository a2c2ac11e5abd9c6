import { expect, test } from 'vitest'
import { canonicalKey, helperServer, serverNames } from './server-names.ts'

test.each([
  ['docker.io', 'registry-1.docker.io', ['docker.io']],
  ['docker.io', 'index.docker.io', ['docker.io']],
  ['ghcr.io', 'ghcr.io', ['ghcr.io']],
  ['GHCR.io', 'ghcr.io', ['ghcr.io']],
  ['registry.example.com', 'lb.example.com:5000', ['lb.example.com:5000', 'registry.example.com']],
  // A mirror elsewhere must not get what is meant for the registry that it is named after.
  ['docker.io', 'mirror.stranger.com', ['mirror.stranger.com']],
  ['docker.io', '10.0.0.1:5000', ['10.0.0.1:5000']],
  ['a.github.io', 'b.github.io', ['b.github.io']],
])('the credentials of %s at %s are filed under %o', (name, host, expected) => {
  expect(serverNames(name, host)).toEqual(expected)
})

test.each([
  ['https://index.docker.io/v1/', 'docker.io'],
  ['index.docker.io', 'docker.io'],
  ['docker.io', 'docker.io'],
  ['docker.io/library', 'docker.io/library'],
  ['ghcr.io', 'ghcr.io'],
  ['https://GHCR.io', 'ghcr.io'],
  ['http://registry.example:5000/v2/', 'registry.example:5000'],
  ['https://registry.example/v1', 'registry.example'],
  ['registry.example/v2', 'registry.example'],
  ['registry.example/', 'registry.example'],
  ['registry.example:5000/team/app', 'registry.example:5000/team/app'],
  ['', ''],
])('the key %j is that of %j', (key, expected) => {
  expect(canonicalKey(key)).toBe(expected)
})

test('helpers know the Hub by the address of its first version', () => {
  expect([helperServer('docker.io'), helperServer('ghcr.io')]).toEqual(['https://index.docker.io/v1/', 'ghcr.io'])
})
