import { parseKey } from '@layerlock/protocol'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { createRecord, type Ended, type KeyRecord, type SessionRef, type Waiter } from '../core/record.ts'
import type { LockStore } from './lock-store.ts'

const KEY = parseKey('lists/of/a/record')

/** Whether a swap is tried that fails, with what it would have made, and then the step is taken after all. */
const fails = fc.boolean()

/** What may happen to the lists of a record between two swaps. Entries are made anew, never changed in place. */
type Step = (record: KeyRecord, fresh: () => string) => KeyRecord

const session = (name: string) => name as SessionRef

function waiter(ticket: string): Waiter {
  return { ticket, session: session(`s-${ticket}`), ignoreOutcome: false, unlessReferenced: false, sinceMs: 1 }
}

function ended(ticket: string): Ended {
  return { ticket, session: session(`s-${ticket}`), how: 'released', untilMs: 2 }
}

const at = fc.nat({ max: 20 })
const steps: fc.Arbitrary<Step> = fc.oneof(
  fc.constant<Step>((record, fresh) => ({ ...record, queue: [...record.queue, waiter(fresh()), waiter(fresh())] })),
  fc.constant<Step>((record) => ({ ...record, queue: record.queue.slice(1) })),
  fc.constant<Step>((record) => ({ ...record, queue: [], ended: [] })),
  fc.constant<Step>((record, fresh) => ({ ...record, ended: [...record.ended.slice(-3), ended(fresh())] })),
  fc.constant<Step>((record, fresh) => ({ ...record, copies: [...record.copies, session(fresh())] })),
  fc.constant<Step>((record) => ({ ...record, copies: [] })),
  at.map<Step>((index) => (record) => ({ ...record, queue: record.queue.filter((_, other) => other !== index) })),
  at.map<Step>((index) => (record) => ({ ...record, copies: record.copies.filter((_, other) => other !== index) })),
  at.map<Step>((index) => (record) => {
    const old = record.queue[index]
    return old === undefined ? record : { ...record, queue: record.queue.with(index, { ...old, told: session('x') }) }
  }),
  at.map<Step>((index) => (record, fresh) => ({
    ...record,
    queue: [...record.queue.slice(index), waiter(fresh())],
    ended: [...record.ended, ...record.queue.slice(0, index).map(({ ticket }) => ended(ticket))],
  })),
  // None that a rule of ours makes, but a store knows no rules.
  fc.constant<Step>((record) => ({ ...record, queue: record.queue.toReversed() })),
  // As read anew by another process: the same entries in other objects.
  fc.constant<Step>((record) => structuredClone(record)),
)

async function refused(swap: Promise<unknown>): Promise<void> {
  const outcome = await swap.then(
    () => 'made',
    () => 'refused',
  )
  expect(outcome).toBe('refused')
}

/** What a store promises of lists, however it keeps them. */
export function testRecordLists(
  open: () => Promise<LockStore>,
  reopen: ((store: LockStore) => Promise<LockStore>) | undefined,
  failingSwap?: (store: LockStore, version: number, record: KeyRecord) => Promise<unknown>,
): void {
  test('lists are read back exactly as they were swapped in, after any changes', async () => {
    const property = fc.asyncProperty(fc.array(fc.tuple(steps, fails), { maxLength: 40 }), async (sequence) => {
      let store = await open()
      let count = 0
      let record = createRecord(KEY)
      let version = 0
      for (const [step, failsFirst] of sequence) {
        record = { ...step(record, () => `t${++count}`), lastToken: record.lastToken + 1 }
        if (failsFirst && failingSwap !== undefined) await refused(failingSwap(store, version, record))
        expect(await store.swap(KEY, version, record)).toBe(true)
        const current = (await store.read(KEY))!
        expect(current.record).toEqual(record)
        version = current.version
      }
      if (reopen !== undefined) store = await reopen(store)
      expect((await store.read(KEY))?.record).toEqual(version === 0 ? undefined : record)
      expect(await store.list({ prefix: '', limit: 10 })).toEqual(version === 0 ? [] : [record])
      if (version > 0) await store.swap(KEY, version, undefined)
      await store.swap(KEY, 0, createRecord(KEY))
      expect((await store.read(KEY))?.record).toEqual(createRecord(KEY))
      await store[Symbol.asyncDispose]()
    })
    await fc.assert(property, { numRuns: 60 })
  })
}
