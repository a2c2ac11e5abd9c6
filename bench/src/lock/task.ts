import type { LockUser } from './lock-user.ts'
import { crowd } from './tasks/crowd.ts'
import { handOver } from './tasks/hand-over.ts'
import { sequential, sequentialOnce } from './tasks/sequential.ts'
import { throughput } from './tasks/throughput.ts'

/** Something to measure, or to make ready, in the process of a contender's user. `run` makes its keys its own. */
export type Task =
  | { readonly kind: 'sequential'; readonly run: string; readonly forMs: number }
  | { readonly kind: 'sequential-once'; readonly run: string; readonly forMs: number }
  | { readonly kind: 'throughput'; readonly run: string; readonly forMs: number; readonly keys: number }
  | { readonly kind: 'hand-over'; readonly run: string; readonly forMs: number; readonly waiters: number }
  | { readonly kind: 'crowd'; readonly run: string; readonly waiters: number; readonly keys: number }
  | { readonly kind: 'fill'; readonly records: number }

/** What a task found out: times in milliseconds, one for each thing that happened, and other numbers. */
export interface Reading {
  readonly samplesMs?: readonly number[]
  readonly numbers?: Readonly<Record<string, number>>
  /** Set when calls are under way still: a new process must take the place of this one. */
  readonly isSpent?: boolean
}

/** Carries out a task. */
export function perform(user: LockUser, task: Task): Promise<Reading> {
  switch (task.kind) {
    case 'sequential':
      return sequential(user, task)
    case 'sequential-once':
      return sequentialOnce(user, task)
    case 'throughput':
      return throughput(user, task)
    case 'hand-over':
      return handOver(user, task)
    case 'crowd':
      return crowd(user, task)
    case 'fill':
      return fill(user, task.records)
  }
}

async function fill(user: LockUser, records: number): Promise<Reading> {
  if (user.fill === undefined) throw new Error('this contender has no bulk call')
  const startMs = performance.now()
  await user.fill(records)
  return { numbers: { tookMs: performance.now() - startMs } }
}
