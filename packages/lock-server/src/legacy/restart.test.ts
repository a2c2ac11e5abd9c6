import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { LockStore } from '../store/lock-store.ts'
import { SqliteLockStore } from '../store/sqlite-lock-store.ts'
import { HOLD_MS, LegacyBed, RETAIN_MS } from './legacy.testbed.ts'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'layerlock-legacy-'))
})

afterEach(() => rm(folder, { recursive: true }))

const stores: [string, () => (() => LockStore) | undefined][] = [
  ['memory', () => undefined],
  ['SQLite', () => () => SqliteLockStore.open(join(folder, 'locks.db'))],
]

describe.each(stores)('with the %s store, after a restart', (_name, opener) => {
  const start = () => LegacyBed.start({ openStore: opener() })

  test('a node is the same: it holds what it held, and waits where it waited', async () => {
    await using bed = await start()
    await bed.acquire('a')
    await bed.queue('b')
    await bed.queue('c')
    await bed.restart()
    await bed.queue('c')
    await bed.queue('b')
    await bed.acquire('a')
    expect((await bed.record())['queue']).toMatchObject([{ node: 'b' }, { node: 'c' }])
    expect((await bed.unlock('a', { error: 'no luck' })).status).toBe(200)
    expect(await bed.status('b')).toMatchObject({ acquired: true })
    await bed.unlock('b')
    expect((await bed.lock('c')).body).toMatchObject({ acquired: false, skip: true })
  })

  test('outcomes and references are there', async () => {
    await using bed = await start()
    await bed.pull('a')
    await bed.restart()
    expect((await bed.lock('b')).body).toMatchObject({ acquired: false, skip: true })
    expect((await bed.lock('b', 'delete')).status).toBe(403)
    await bed.clock.pass(RETAIN_MS + 1)
    await bed.restart()
    expect((await bed.lock('b', 'delete')).status).toBe(403)
    await bed.acquire('a', 'delete')
  })

  test('how an operation ended is still known', async () => {
    await using bed = await start()
    await bed.acquire('a')
    await bed.unlock('a', { error: 'no luck' })
    await bed.restart()
    expect(await bed.status('a')).toEqual({ acquired: false, completed: true, success: false })
  })

  test('a hold still ends by its time, and the next in line is the holder and stays it', async () => {
    await using bed = await start()
    await bed.acquire('a')
    await bed.queue('b')
    await bed.restart()
    await bed.clock.pass(HOLD_MS + 2)
    await expect.poll(() => bed.status('b')).toMatchObject({ acquired: true })
    await expect.poll(() => bed.record()).toMatchObject({ holders: [{ node: 'b', offered: false }] })
    await bed.clock.pass(HOLD_MS - 100)
    expect(await bed.status('b')).toMatchObject({ acquired: true })
  })

  test('a holder learns from its new subscription that it is one', async () => {
    await using bed = await start()
    await bed.acquire('a')
    await bed.queue('b')
    await bed.unlock('a', { error: 'no luck' })
    await bed.restart()
    const subscription = await bed.subscribe()
    expect(await subscription.until(1)).toMatchObject([{ node_id: 'b', success: false }])
    expect((await bed.unlock('b')).status).toBe(200)
    expect((await subscription.until(2))[1]).toMatchObject({ node_id: 'b', success: true })
  })
})

test('a server that is started without the earlier wire form keeps what old nodes have', async () => {
  const open = () => SqliteLockStore.open(join(folder, 'locks.db'))
  const bed = await LegacyBed.start({ openStore: open })
  await bed.pull('a')
  await bed.stop()
  await using plain = await LegacyBed.start({ openStore: open, legacy: undefined })
  expect((await plain.lock('b')).status).toBe(404)
  await plain.stop()
  await using again = await LegacyBed.start({ openStore: open })
  expect((await again.lock('b', 'delete')).status).toBe(403)
})

test('an offer that the server could not take up any more is taken up at its next start', async () => {
  await using bed = await LegacyBed.start()
  await bed.acquire('a')
  await bed.queue('b')
  await bed.stop()
  // As a server without the earlier wire form would do it, or one that is killed between two writes.
  await using plain = await LegacyBed.start({ openStore: () => bed.store, legacy: undefined })
  await plain.clock.pass(HOLD_MS + 2)
  expect(await plain.record()).toMatchObject({ holders: [{ node: 'b', offered: true }] })
  await plain.stop()
  await bed.start()
  expect(await bed.record()).toMatchObject({ holders: [{ node: 'b', offered: false }] })
  expect(await bed.status('b')).toMatchObject({ acquired: true })
})
