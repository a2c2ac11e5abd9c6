import { type Key, parseKey } from '@layerlock/protocol'
import { expect, test } from 'vitest'
import type { AcquireCommand } from '../core/acquire.ts'
import { DEFAULT_MACHINE_SETTINGS } from '../core/context.ts'
import type { KeyRecord, SessionRef } from '../core/record.ts'
import { ManualClock } from './manual-clock.ts'
import { KeyActors } from './key-actors.ts'
import { Parking } from './parking.ts'
import { FlakyLockStore, KEY } from './service.testbed.ts'
import { SessionIndex } from './session-index.ts'
import { Tally } from './tally.ts'

class Bed {
  readonly clock = new ManualClock()
  readonly store = new FlakyLockStore()
  readonly index = new SessionIndex()
  readonly gone = new Set<string>()
  readonly actors = this.replica()

  /** Another process with the same store. */
  replica(): KeyActors {
    return new KeyActors({
      store: this.store,
      clock: this.clock,
      index: this.index,
      greatestToken: 0,
      contextOf: (_key, tokenFloor) => ({
        nowMs: this.clock.nowMs(),
        tokenFloor,
        session: (ref) => (this.gone.has(ref) ? undefined : { node: ref }),
        progress: () => undefined,
        settings: { ...DEFAULT_MACHINE_SETTINGS, endedMs: 1_000, negativeMs: 1_000, retainMs: 1_000 },
      }),
      parking: new Parking(this.clock),
      tally: new Tally(),
      maxKeys: 1_000,
      onDecided: () => undefined,
    })
  }

  keysOf(name: string): readonly Key[] {
    return this.index.keysOf(name as SessionRef)
  }
}

function wish(name: string, ticket = `${name}1`): AcquireCommand {
  const session = name as SessionRef
  return { op: 'acquire', session, ticket, enqueue: true, ignoreOutcome: false, unlessReferenced: false, limit: 1 }
}

function release(name: string, fencingToken: number) {
  return { op: 'release', session: name as SessionRef, fencingToken } as const
}

test('execute() applies the commands that queue up on one key in one swap, in their order', async () => {
  const bed = new Bed()
  const first = bed.actors.execute(KEY, wish('first'))
  const names = Array.from({ length: 50 }, (_, index) => `s${index}`)
  const rest = names.map((name) => bed.actors.execute(KEY, wish(name)))
  expect((await first).answer.status).toBe('granted')
  const answers = await Promise.all(rest)
  expect(answers.map(({ answer }) => answer.status === 'queued' && answer.position)).toEqual(names.map((_, i) => i + 1))
  expect(bed.store.swaps).toBeLessThanOrEqual(2)
})

test('execute() decides anew when another replica was faster', async () => {
  const bed = new Bed()
  const [one, other] = [bed.replica(), bed.replica()]
  const names = Array.from({ length: 20 }, (_, index) => `s${index}`)
  const answers = await Promise.all(
    names.map((name, index) => (index % 2 === 0 ? one : other).execute(KEY, wish(name))),
  )
  expect(answers.filter(({ answer }) => answer.status === 'granted')).toHaveLength(1)
  const record: KeyRecord | undefined = (await bed.store.read(KEY))?.record
  expect(record?.holds).toHaveLength(1)
  expect(record?.queue).toHaveLength(19)
})

test('execute() refuses one command of a batch without touching the others', async () => {
  const bed = new Bed()
  const granted = await bed.actors.execute(KEY, wish('a'))
  const commands = [bed.actors.execute(KEY, release('b', 1)), bed.actors.execute(KEY, wish('b'))]
  const [stale, queued] = await Promise.allSettled(commands)
  expect(stale).toMatchObject({ status: 'rejected', reason: { code: 'lease_lost' } })
  expect(queued).toMatchObject({ status: 'fulfilled', value: { answer: { status: 'queued' } } })
  expect(granted.answer.status).toBe('granted')
})

test('execute() refuses commands of a session that has ended, and grants nothing to it', async () => {
  const bed = new Bed()
  bed.gone.add('a')
  await expect(bed.actors.execute(KEY, wish('a'))).rejects.toMatchObject({ code: 'session_expired' })
  expect(await bed.store.read(KEY)).toBeUndefined()
  expect(bed.keysOf('a')).toEqual([])
})

test('execute() answers overloaded when the store fails, and goes on when that works again', async () => {
  const bed = new Bed()
  bed.store.failing = true
  await expect(bed.actors.execute(KEY, wish('a'))).rejects.toMatchObject({ code: 'overloaded' })
  bed.store.failing = false
  expect((await bed.actors.execute(KEY, wish('a'))).answer.status).toBe('granted')
})

test('execute() writes nothing for a command that changes nothing', async () => {
  const bed = new Bed()
  await bed.actors.execute(KEY, wish('a'))
  await bed.actors.execute(KEY, wish('b'))
  bed.store.swaps = 0
  await bed.actors.execute(KEY, wish('b'))
  await bed.actors.execute(KEY, { op: 'tick' })
  expect(bed.store.swaps).toBe(0)
})

test('execute() keeps the index to the keys that a session is part of', async () => {
  const bed = new Bed()
  const { answer } = await bed.actors.execute(KEY, wish('a'))
  await bed.actors.execute(KEY, wish('b'))
  expect([bed.keysOf('a'), bed.keysOf('b')]).toEqual([[KEY], [KEY]])
  if (answer.status !== 'granted') throw new Error(answer.status)
  const { fencingToken } = answer
  await bed.actors.execute(KEY, {
    op: 'complete',
    session: 'a' as SessionRef,
    fencingToken,
    copy: false,
    clear: false,
  })
  expect([bed.keysOf('a'), bed.keysOf('b')]).toEqual([[], []])
})

test('execute() takes sessions out of the index whose copies others have forgotten', async () => {
  const bed = new Bed()
  const keys = Array.from({ length: 10 }, (_, index) => parseKey(`blob/${index}`))
  for (const key of keys) await bed.actors.execute(key, { op: 'addCopy', session: 'a' as SessionRef })
  expect(bed.keysOf('a')).toHaveLength(10)
  for (const key of keys) await bed.actors.execute(key, { op: 'forget' })
  expect(bed.keysOf('a')).toEqual([])
})

test('execute() leaves no timer and no record behind when all is over', async () => {
  const bed = new Bed()
  const { answer } = await bed.actors.execute(KEY, wish('a'))
  if (answer.status !== 'granted') throw new Error(answer.status)
  await bed.actors.execute(KEY, release('a', answer.fencingToken))
  expect(bed.clock.timers).toBe(1)
  await bed.clock.pass(10_000)
  expect(bed.clock.timers).toBe(0)
  expect(await bed.store.read(KEY)).toBeUndefined()
})

test('a timer that meets a failing store is tried again', async () => {
  const bed = new Bed()
  await bed.actors.execute(KEY, { ...wish('a'), maxHoldMs: 1_000 })
  await bed.actors.execute(KEY, wish('b'))
  bed.store.failing = true
  await bed.clock.pass(5_000)
  bed.store.failing = false
  await bed.clock.pass(1_001)
  expect((await bed.store.read(KEY))?.record.holds[0]).toMatchObject({ ticket: 'b1' })
})
