import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  httpGet,
  requireBinaries,
  startLockServer,
  startProxy,
  startRegistryServer,
  temporaryFolder,
} from '@layerlock/test-support'
import { describe, expect, test } from 'vitest'
import { type Attempt, gainsOf } from './attempts.ts'
import { type PrivateRegistry, startPrivateRegistry } from './private-registry.ts'

const available = requireBinaries('docker-registry', 'openssl').available

/** Two nodes that pull from `private.test` for its users, and from another upstream as its lines of the file say. */
async function startNodes(registry: PrivateRegistry, other: string): Promise<Nodes> {
  await using parts = new AsyncDisposableStack()
  const folder = parts.use(await temporaryFolder('upstreams')).path
  const lockServer = parts.use(await startLockServer())
  const config = join(folder, 'layerlock.toml')
  await writeFile(
    config,
    `[proxy.upstream."private.test"]\nurl = "${registry.upstream.url}"\nauth = "passthrough"\n\n${other}\n`,
  )
  const tokenFile = join(folder, 'cluster-token')
  await writeFile(tokenFile, 'the-token-of-the-cluster\n')
  const start = (node: string) =>
    startProxy({
      node,
      storeFolder: join(folder, node),
      lockServer: lockServer.url,
      upstreams: {},
      args: ['--config', config, '--cluster-token-file', tokenFile, '--drain', '1s'],
    })
  const urls = [parts.use(await start('a')).url, parts.use(await start('b')).url]
  const running = parts.move()
  return { urls, [Symbol.asyncDispose]: () => running.disposeAsync() }
}

interface Nodes extends AsyncDisposable {
  readonly urls: readonly string[]
}

/** Alice pulls through the first node; then somebody asks both for the same in the name of another upstream. */
async function gainsThrough(otherName: string, { urls }: Nodes, registry: PrivateRegistry): Promise<string[]> {
  const { a, secret } = registry
  const headers = { authorization: await registry.authorizationOf('alice', 'private/a'), accept: '*/*' }
  const paths = [`blobs/${secret.digest}`, `blobs/${a.config.digest}`, `manifests/${a.manifest.digest}`]
  for (const path of paths) {
    const hers = await httpGet(`${urls[0]!}/v2/private/a/${path}?ns=private.test`, { headers })
    if (hers.digest !== path.split('/')[1]) throw new Error(`alice got ${hers.status} for ${path}`)
  }
  const attempts: Attempt[] = []
  for (const path of urls.flatMap((url) => paths.map((each) => `${url}/v2/private/a/${each}?ns=${otherName}`))) {
    for (const method of ['GET', 'HEAD'] as const) {
      const result = await httpGet(path, { method, headers: { accept: '*/*' }, keepBody: true })
      attempts.push({ what: `${method} ${path}`, result })
    }
  }
  return gainsOf(attempts, registry)
}

describe.skipIf(!available)('what alice pulled from a private registry is not to be had', () => {
  test('in the name of an upstream that asks nobody who they are', async () => {
    await using registry = await startPrivateRegistry('tokens')
    await using open = await startRegistryServer()
    await using nodes = await startNodes(registry, `[proxy.upstream."open.test"]\nurl = "${open.url}"`)
    expect(await gainsThrough('open.test', nodes, registry)).toEqual([])
  })

  test('in the name of an upstream that says it has what it does not have', async () => {
    await using registry = await startPrivateRegistry('tokens')
    await using bobs = await startRegistryServer({
      fault: ({ method }) => (method === 'HEAD' ? { kind: 'status', status: 200, body: '{}' } : undefined),
    })
    const table = `[proxy.upstream."bobs.test"]\nurl = "${bobs.url}"\nauth = "passthrough"`
    await using nodes = await startNodes(registry, table)
    // What his own registry says of itself is his.
    const gains = await gainsThrough('bobs.test', nodes, registry)
    expect(gains.filter((gain) => gain.startsWith('GET'))).toEqual([])
  })
})
