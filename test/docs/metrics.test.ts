import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { LockServer, MemoryLockStore } from '@layerlock/server'
import { expect, test } from 'vitest'

// Some of the process's metrics are there only where there is /proc.
test.skipIf(process.platform !== 'linux')(
  'docs/operations.md has the metrics that the lock server gives, with their types, both ways',
  async () => {
    const text = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'operations.md'), 'utf8')
    const rows = [...text.matchAll(/^\| `([a-z_0-9]+)` +\| (counter|gauge|histogram) +\|/gm)]
    await using server = await LockServer.start({ host: '127.0.0.1', port: 0, store: new MemoryLockStore() })
    const metrics = await (await fetch(`${server.url}/metrics`)).text()
    const types = [...metrics.matchAll(/^# TYPE (\S+) (\S+)$/gm)]
    const named = (matches: RegExpExecArray[]) => matches.map(([, name, type]) => `${name} ${type}`).toSorted()
    expect(named(rows)).toEqual(named(types))
    expect(named(types)).toContain('layerlock_server_requests_total counter')
  },
)
