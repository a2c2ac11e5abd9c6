import { parseKey } from '@layerlock/protocol'
import { expect, test, vi } from 'vitest'
import { createRecord, type SessionRef } from '../core/record.ts'
import { ServiceBed } from './service.testbed.ts'

/** A service over so many records, `edit`ed by their numbers. */
async function bedWith(count: number, edit: (index: number) => object = () => ({})) {
  const bed = await ServiceBed.open()
  for (let index = 0; index < count; index++) {
    const key = parseKey(`k${String(index).padStart(6, '0')}`)
    await bed.store.swap(key, 0, { ...createRecord(key), ...edit(index) })
  }
  return bed
}

const outcome = (value: unknown) => ({
  token: 1,
  value,
  node: 'a',
  atMs: 0,
  onCopies: false,
  endsMs: 2_000_000,
  audience: [],
  audienceEndsMs: 0,
})

test('list() reads many records at a time, whatever the limit is, and lets others have their turn', async () => {
  const bed = await bedWith(2_000)
  const reads = vi.spyOn(bed.store, 'list')
  const order: string[] = []
  setImmediate(() => order.push('other'))
  const { locks, last } = await bed.service.list({ prefix: '', state: 'failed', limit: 1 })
  order.push('list')
  expect([locks, last]).toEqual([[], undefined])
  expect(order).toEqual(['other', 'list'])
  expect(reads.mock.calls.length).toBeLessThan(20)
})

test('list() looks at so many records in a call, and goes on with the next page', async () => {
  const bed = await bedWith(12_000, (index) => (index === 11_999 ? { outcome: outcome(1) } : {}))
  const wish = { prefix: '', state: 'done', limit: 1 } as const
  const first = await bed.service.list(wish)
  expect(first).toEqual({ locks: [], last: 'k009999' })
  expect((await bed.service.list({ ...wish, after: first.last })).locks).toMatchObject([{ key: 'k011999' }])
})

test('list() cuts a page at about 1 MiB, and loses no record over it', async () => {
  const bed = await bedWith(50, () => ({ outcome: outcome('x'.repeat(60_000)) }))
  const keys: string[] = []
  let after: string | undefined
  do {
    const { locks, last } = await bed.service.list({ prefix: '', after, limit: 1_000 })
    expect(JSON.stringify(locks).length).toBeLessThan(1.1 * 1024 * 1024)
    keys.push(...locks.map(({ key }) => key))
    after = last
  } while (after !== undefined)
  expect(keys).toEqual(Array.from({ length: 50 }, (_, index) => `k${String(index).padStart(6, '0')}`))
})

test('a page has one record at the least, however large it is', async () => {
  const bed = await bedWith(2, () => ({ outcome: outcome('x'.repeat(2 * 1024 * 1024)) }))
  const { locks, last } = await bed.service.list({ prefix: '', limit: 10 })
  expect([locks.length, last]).toEqual([1, 'k000000'])
})

test('records show the first of a long queue and of many holders, and how many there are', async () => {
  const session = 's' as SessionRef
  const queue = Array.from({ length: 3_000 }, (_, index) => ({
    ticket: `t${index}`,
    session,
    ignoreOutcome: false,
    unlessReferenced: false,
    sinceMs: 0,
  }))
  const holds = queue.slice(0, 2_000).map(({ ticket }, token) => ({ ticket, session, token, attempt: 1, sinceMs: 0 }))
  const bed = await bedWith(1, () => ({ queue, holds }))
  const { locks } = await bed.service.list({ prefix: '', limit: 10 })
  const shown = await bed.service.show(parseKey('k000000'), { waitMs: 0 })
  for (const record of [shown, ...locks]) {
    expect([record.queue.length, record.queueLength]).toEqual([1_000, 3_000])
    expect([record.holders.length, record.holderCount]).toEqual([1_000, 2_000])
  }
})
