import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { LockServer, MemoryLockStore } from '@layerlock/server'
import { startProxy, temporaryFolder } from '@layerlock/test-support'
import { describe, expect, test } from 'vitest'

const DOCUMENT = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'operations.md'), 'utf8')

/** The metrics that the document has a row for, with their types. */
function documented(prefix: RegExp): string[] {
  const rows = DOCUMENT.matchAll(/^\| `([a-z_0-9]+)` +\| (counter|gauge|histogram) +\|/gm)
  return [...rows].flatMap(([, name, type]) => (prefix.test(name!) ? [`${name} ${type}`] : [])).toSorted()
}

/** The metrics that are given at a URL, with their types. */
async function given(url: string): Promise<string[]> {
  const text = await (await fetch(`${url}/metrics`)).text()
  return [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => `${name} ${type}`).toSorted()
}

// Some of the process's metrics are there only where there is /proc.
describe.skipIf(process.platform !== 'linux')('docs/operations.md has the metrics', () => {
  test('that the lock server gives, with their types, both ways', async () => {
    await using server = await LockServer.start({ host: '127.0.0.1', port: 0, store: new MemoryLockStore() })
    const metrics = await given(server.url)
    expect(documented(/^(?!layerlock_proxy_)/)).toEqual(metrics)
    expect(metrics).toContain('layerlock_server_requests_total counter')
  })

  test('that the proxy gives, with their types, both ways', { timeout: 60_000 }, async () => {
    await using folder = await temporaryFolder('metrics')
    const upstreams = { 'docker.io': 'http://127.0.0.1:1' }
    await using proxy = await startProxy({ node: 'node-a', storeFolder: folder.path, upstreams })
    const metrics = await given(proxy.adminUrl)
    expect(documented(/^(?!layerlock_server_)/)).toEqual(metrics)
    expect(metrics).toContain('layerlock_proxy_bytes_total counter')
  })
})
