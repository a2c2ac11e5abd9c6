import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  basicAuthorization,
  httpGet,
  requireBinaries,
  skopeoPull,
  startProxy,
  temporaryFolder,
  writeRegistriesConf,
} from '@layerlock/test-support'
import { describe, expect, test } from 'vitest'
import { type AuthKind, startPrivateRegistry, userOf } from './private-registry.ts'

const available = requireBinaries('docker-registry', 'openssl', 'skopeo').available
const KINDS: readonly AuthKind[] = ['tokens', 'passwords']

describe.skipIf(!available).for(KINDS)('a proxy with credentials of its own for a registry with %s', (kind) => {
  test('serves all who reach it, and upstream sees nobody else', async () => {
    await using registry = await startPrivateRegistry(kind)
    await using folder = await temporaryFolder('own')
    const passwordFile = join(folder.path, 'password')
    await writeFile(passwordFile, `${registry.passwordOf('proxy')}\n`, { mode: 0o600 })
    const config = join(folder.path, 'layerlock.toml')
    await writeFile(
      config,
      `[proxy]
defaultUpstream = "docker.io"

[proxy.upstream."docker.io"]
url = "${registry.upstream.url}"
auth = "proxy"
username = "proxy"
passwordFile = "${passwordFile}"
`,
    )
    await using proxy = await startProxy({
      node: 'a',
      storeFolder: join(folder.path, 'store'),
      upstreams: {},
      args: ['--config', config, '--drain', '1s'],
    })
    const { a, b, upstream } = registry
    const mirrors = [`${proxy.host}/docker.io`]
    const registriesConf = await writeRegistriesConf(folder.path, { 'docker.io': { mirrors } })
    for (const [repository, image] of [['private/a', a] as const, ['private/b', b] as const]) {
      const { topDigest } = await skopeoPull(`docker.io/${repository}:1`, { registriesConf })
      expect(topDigest).toBe(image.manifest.digest)
    }
    await upstream.requests.settled()
    for (const digest of new Set([...a.pulledDigests, ...b.pulledDigests])) {
      expect(upstream.requests.countOf({ method: 'GET', digest, status: 200 }), `GETs of ${digest}`).toBe(1)
    }

    // What clients send of their own stays here.
    for (const authorization of [basicAuthorization('alice', registry.passwordOf('alice')), 'Bearer wrong', '?']) {
      const headers = { authorization, accept: '*/*' }
      const stored = await httpGet(`${proxy.url}/v2/private/a/blobs/${registry.secret.digest}`, { headers })
      expect(stored).toMatchObject({ status: 200, digest: registry.secret.digest })
      // This one has to be asked of upstream.
      expect((await httpGet(`${proxy.url}/v2/private/a/tags/list`, { headers })).status).toBe(200)
    }
    expect(new Set(registry.authorizations.map(userOf))).toEqual(new Set(['proxy']))
    expect(new Set(registry.tokens?.issued.map(({ user }) => user) ?? ['proxy'])).toEqual(new Set(['proxy']))
    const printed = proxy.stdout.text + proxy.stderr.text
    for (const secret of [
      registry.passwordOf('proxy'),
      ...registry.authorizations.map((text) => text.split(' ')[1]!),
    ]) {
      expect(printed).not.toContain(secret)
    }
  })
})
