import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { SqliteLockStore } from '../store/sqlite-lock-store.ts'
import { WalFile } from '../store/wal-file.ts'
import { HttpBed } from './http.testbed.ts'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'layerlock-health-'))
})

afterEach(async () => {
  vi.restoreAllMocks()
  await rm(folder, { recursive: true })
})

test('a server whose store has failed for good is not ready, until it is started anew', async () => {
  const open = () => SqliteLockStore.open(join(folder, 'locks.db'))
  const ready = { status: 200, body: { status: 'ready' } }
  {
    await using bed = await HttpBed.start({ store: open() })
    expect(await bed.call('GET', '/readyz')).toMatchObject(ready)
    vi.spyOn(WalFile.prototype, 'syncNow').mockImplementationOnce(() => {
      throw new Error('EIO: i/o error, fdatasync')
    })
    expect((await bed.call('POST', '/v1/sessions', { body: { node: 'a' } })).status).toBe(503)
    expect((await bed.call('POST', '/v1/sessions', { body: { node: 'a' } })).status).toBe(503)
    expect(await bed.call('GET', '/readyz')).toMatchObject({ status: 503, body: { status: 'failing' } })
    expect((await bed.call('GET', '/healthz')).status).toBe(200)
  }
  await using bed = await HttpBed.start({ store: open() })
  expect(await bed.call('GET', '/readyz')).toMatchObject(ready)
})
