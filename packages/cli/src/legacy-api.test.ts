import { join } from 'node:path'
import { type LayerlockProcess, startLockServer, temporaryFolder } from '@layerlock/test-support'
import { expect, test } from 'vitest'

/** Starting Node several times at once takes seconds on a small machine. */
const timeoutMs = 60_000

async function call(server: LayerlockProcess, path: string, node: string, more: object = {}) {
  const body = JSON.stringify({ type: 'pull', resource_id: 'sha256:abc', node_id: node, ...more })
  const response = await fetch(server.url + path, { method: 'POST', body })
  return (await response.json()) as Record<string, unknown>
}

test(
  'layerlock server --legacy-api serves old nodes, and knows them after it was killed',
  async () => {
    await using folder = await temporaryFolder('legacy-api')
    const options = { store: 'sqlite', dataFolder: join(folder.path, 'data'), args: ['--legacy-api'] }
    await using first = await startLockServer(options)
    expect(await call(first, '/lock', 'a')).toMatchObject({ acquired: true })
    expect(await call(first, '/lock', 'b')).toMatchObject({ acquired: false, skip: false })
    expect(await call(first, '/unlock', 'a', { error: 'no luck' })).toMatchObject({ released: true })
    first.kill('SIGKILL')
    await first.exited
    await using second = await startLockServer(options)
    expect(await call(second, '/lock/status', 'b')).toEqual({ acquired: true, completed: false, success: false })
    expect(await call(second, '/unlock', 'b')).toMatchObject({ released: true })
    expect(await call(second, '/lock', 'c')).toMatchObject({ acquired: false, skip: true })
  },
  timeoutMs,
)

test(
  'layerlock server reads LAYERLOCK_LEGACY_API, and without it there is no such protocol',
  async () => {
    await using serving = await startLockServer({ env: { LAYERLOCK_LEGACY_API: 'true', LAYERLOCK_LEGACY_HOLD: '1h' } })
    expect(await call(serving, '/lock', 'a')).toMatchObject({ acquired: true })
    const response = await fetch(`${serving.url}/v1/locks/legacy%2Fsha256%3Aabc`)
    expect(await response.json()).toMatchObject({ holders: [{ node: 'a' }] })
    await using plain = await startLockServer({ env: { LAYERLOCK_LEGACY_API: 'false' } })
    expect(await call(plain, '/lock', 'a')).toMatchObject({ error: { code: 'not_found' } })
  },
  timeoutMs,
)
