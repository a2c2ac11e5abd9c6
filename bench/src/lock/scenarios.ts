import type { Contender } from './contender.ts'
import type { Task } from './task.ts'

export type ScenarioName = 'sequential' | 'throughput' | 'hand-over' | 'crowd' | 'memory'

/** One thing that is measured of several contenders in turn. */
export interface Variant {
  readonly name: string
  readonly takesPart: (contender: Contender) => boolean
  readonly task: (run: string) => Task
  /** Fewer rounds than the others have, where one takes long. */
  readonly rounds?: number
}

/** How large the run is. */
export interface Extent {
  readonly rounds: number
  readonly sequentialMs: number
  readonly throughputMs: number
  /** With one waiter; with more of them, who need not be held up so long for each hand-over, half of it. */
  readonly handOverMs: number
  readonly handOverWaiters: readonly number[]
  readonly crowd: { readonly waiters: number; readonly keys: number }
  readonly records: number
}

export const WHOLE: Extent = {
  rounds: 5,
  sequentialMs: 500,
  throughputMs: 400,
  handOverMs: 2_000,
  handOverWaiters: [1, 100, 1_000],
  crowd: { waiters: 10_000, keys: 100 },
  records: 100_000,
}

export const QUICK: Extent = {
  rounds: 2,
  sequentialMs: 200,
  throughputMs: 200,
  handOverMs: 800,
  handOverWaiters: [1, 100],
  crowd: { waiters: 1_000, keys: 10 },
  records: 20_000,
}

export const KEYS = [1, 16, 64, 256]
export const ACQUIRE_RELEASE = 'acquire + release'
export const ONCE = 'once, fresh key'

const everyone = (): boolean => true
const isOurs = ({ name }: Contender): boolean => name.startsWith('layerlock')

/** The variants of the scenarios that are measured in rounds. */
export function variantsOf(scenario: Exclude<ScenarioName, 'memory'>, extent: Extent): readonly Variant[] {
  const { sequentialMs, throughputMs, handOverMs, handOverWaiters, rounds } = extent
  switch (scenario) {
    case 'sequential':
      return [
        {
          name: ACQUIRE_RELEASE,
          takesPart: everyone,
          task: (run) => ({ kind: 'sequential', run, forMs: sequentialMs }),
        },
        { name: ONCE, takesPart: isOurs, task: (run) => ({ kind: 'sequential-once', run, forMs: sequentialMs }) },
      ]
    case 'throughput':
      return KEYS.map((keys) => ({
        name: String(keys),
        takesPart: everyone,
        task: (run) => ({ kind: 'throughput', run, forMs: throughputMs, keys }),
      }))
    case 'hand-over':
      return handOverWaiters.map((waiters) => ({
        name: String(waiters),
        takesPart: ({ queues }) => queues,
        task: (run) => ({ kind: 'hand-over', run, forMs: waiters === 1 ? handOverMs : handOverMs / 2, waiters }),
        rounds: waiters > 100 ? Math.ceil(rounds / 3) : rounds,
      }))
    case 'crowd': {
      const { waiters, keys } = extent.crowd
      const task = (run: string): Task => ({ kind: 'crowd', run, waiters, keys })
      return [{ name: `${waiters} on ${keys} keys`, takesPart: isOurs, task, rounds: Math.min(rounds, 2) }]
    }
  }
}
