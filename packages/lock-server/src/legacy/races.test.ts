import { expect, test } from 'vitest'
import { ServiceBed } from '../service/service.testbed.ts'
import { lockKey } from './legacy-keys.ts'
import { LegacyLocks } from './legacy-locks.ts'
import type { LegacyType } from './legacy-wish.ts'

const KEY = lockKey('r')
const wish = (node: string, type: LegacyType = 'pull') => ({ type, resource: 'r', node })
const success = { success: true, error: undefined }
const failure = { success: false, error: 'no luck' }

/** The calls without HTTP, which would bring them in one after another, and with nobody who takes up offers. */
async function openLocks(Locks = LegacyLocks) {
  const bed = await ServiceBed.open()
  const { service, store, clock } = bed
  return { bed, locks: new Locks({ service, store, clock, retainMs: 60_000, holdMs: 60_000 }) }
}

test('lock() that is called many times at once is one wish, of one session', async () => {
  const { bed, locks } = await openLocks()
  await locks.lock(wish('a'))
  const answers = await Promise.all(Array.from({ length: 10 }, () => locks.lock(wish('b'))))
  expect(answers).toEqual(Array.from({ length: 10 }, () => ({ status: 'queued' })))
  expect((await bed.record(KEY))?.queue).toHaveLength(1)
  expect(bed.service.sessions.size).toBe(2)
})

test('a delete whose turn has come is no holder before it was looked at', async () => {
  const { bed, locks } = await openLocks()
  await locks.lock(wish('a'))
  await locks.lock(wish('b', 'delete'))
  await locks.unlock(wish('a'), success)
  expect((await bed.record(KEY))?.holds).toMatchObject([{ offerEndsMs: expect.any(Number) }])
  expect(await locks.status(wish('b', 'delete'))).toEqual({ acquired: false, completed: false, success: false })
  expect(await locks.unlock(wish('b', 'delete'), success)).toBe(false)
  expect(await locks.lock(wish('b', 'delete'))).toMatchObject({ status: 'refused' })
})

/** Sees a reference only at the second look, as if it had appeared in between. */
class LateLocks extends LegacyLocks {
  #looks = 0

  override async isReferencedByOthers(...asked: Parameters<LegacyLocks['isReferencedByOthers']>): Promise<boolean> {
    return ++this.#looks > 1 && (await super.isReferencedByOthers(...asked))
  }
}

test('a reference that appears while a delete is being granted refuses it', async () => {
  const { bed, locks } = await openLocks(LateLocks)
  await locks.lock(wish('a'))
  await locks.unlock(wish('a'), success)
  expect(await locks.lock(wish('b', 'delete'))).toMatchObject({ status: 'refused' })
  expect((await bed.record(KEY))?.holds).toEqual([])
})

test('a record does not grow while everything fails', async () => {
  const { bed, locks } = await openLocks()
  for (let time = 0; time < 150; time++) {
    await locks.lock(wish('a'))
    expect(await locks.unlock(wish('a'), failure)).toBe(true)
    await bed.clock.pass(50)
  }
  expect((await bed.record(KEY))?.streak?.failures).toHaveLength(64)
})
