import type { Task } from '@layerlock/faults'
import * as fc from 'fast-check'
import type { Fate } from './simulated-network.ts'

/** What clients want and what the network does to them. Together with its seed it decides the whole run. */
export interface Scenario {
  /** For each client, what it does one after the other. */
  readonly clients: readonly (readonly Task[])[]
  readonly fates: readonly Fate[]
  /** Of jitter and the like. */
  readonly seed: number
}

const task: fc.Arbitrary<Task> = fc
  .record({
    kind: fc.constantFrom('mutex', 'mutex', 'mutex', 'mutex', 'semaphore', 'once', 'once', 'again', 'failing'),
    operation: fc.constantFrom<Task['operation'][]>('acquire', 'ticket', 'ticket', 'ticket', 'tryAcquire'),
    holdMs: fc.oneof(fc.integer({ min: 0, max: 50 }), fc.integer({ min: 0, max: 1_500 })),
    isFailing: fc.boolean(),
    timeoutMs: fc.option(fc.integer({ min: 1, max: 4_000 }), { nil: undefined, freq: 4 }),
  })
  .map(({ kind, operation, holdMs, isFailing, timeoutMs }): Task => {
    const common = { key: kind, holdMs, timeoutMs, limit: kind === 'semaphore' ? 2 : 1 }
    if (kind === 'once' || kind === 'again') {
      const retainMs = kind === 'once' ? 600_000 : 100
      return { ...common, operation: 'once', ending: isFailing ? 'fail' : 'complete', retainMs }
    }
    const ending = kind === 'failing' && isFailing ? 'fail' : 'release'
    return { ...common, operation, ending, retainMs: undefined }
  })

const delayMs = fc.oneof({ weight: 5, arbitrary: fc.integer({ min: 1, max: 20 }) }, fc.integer({ min: 1, max: 2_500 }))

const fate: fc.Arbitrary<Fate> = fc.record({
  requestMs: delayMs,
  answerMs: delayMs,
  loss: fc.constantFrom('nothing', 'nothing', 'nothing', 'nothing', 'request', 'answer'),
  shows: fc.constantFrom('reset', 'silence'),
  repeatedAfterMs: fc.option(fc.integer({ min: 0, max: 10_000 }), { nil: undefined, freq: 2 }),
})

export const scenarios: fc.Arbitrary<Scenario> = fc.record({
  clients: fc.array(fc.array(task, { minLength: 1, maxLength: 4 }), { minLength: 3, maxLength: 6, size: 'max' }),
  fates: fc.array(fate, { maxLength: 80, size: 'max' }),
  seed: fc.nat(),
})
