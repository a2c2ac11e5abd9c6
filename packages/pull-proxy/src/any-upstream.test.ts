import { temporaryFolder } from '@layerlock/test-support'
import { expect, test } from 'vitest'
import { startTestProxy } from './proxy.testbed.ts'
import { rawRequest } from './raw-request.testbed.ts'
import { startTrapServer } from './upstream/https-server.testbed.ts'

test('no request leads through * to a server on this machine', async () => {
  await using folder = await temporaryFolder('any-upstream')
  await using trap = await startTrapServer()
  const options = { upstreams: [{ name: '*' }], defaultUpstream: undefined }
  await using proxy = await startTestProxy({ folder: folder.path, upstream: 'http://127.0.0.1:1' }, options)
  const { port } = trap
  const hosts = [
    '127.0.0.1',
    '127.1',
    '2130706433',
    '0x7f000001',
    '0177.0.0.1',
    '0.0.0.0',
    '[::1]',
    '[::ffff:127.0.0.1]',
    'localhost',
    'localhost.',
    'ghcr.io@127.0.0.1',
    'a.localhost',
  ]
  for (const host of hosts.map((name) => `${name}:${port}`)) {
    const byNs = [host, encodeURIComponent(host), encodeURIComponent(encodeURIComponent(host))]
    const paths = [
      ...byNs.map((ns) => `/v2/org/app/manifests/latest?ns=${ns}`),
      `/v2/${host}/org/app/manifests/latest`,
      `/v2/${encodeURIComponent(host)}/org/app/manifests/latest`,
      `/v2/${encodeURIComponent(`${host}/org`)}/app/manifests/latest`,
      `/v2/org/app/tags/list?ns=${encodeURIComponent(host)}`,
    ]
    for (const path of paths) {
      expect([path, (await rawRequest(proxy.url + path)).status]).toEqual([path, 404])
    }
  }
  expect(trap.caught).toBe(0)
})
