import type { Operation } from './entry.ts'
import type { Random } from '@layerlock/test-support'

/** One call of a client, as the seed says. */
export interface Task {
  readonly operation: Operation
  readonly key: string
  readonly limit: number
  readonly holdMs: number
  readonly ending: 'release' | 'fail' | 'complete'
  readonly timeoutMs: number | undefined
  readonly retainMs: number | undefined
}

/** A short-lived outcome ends within a round, so that the work is done anew. */
const SHORT_RETAIN_MS = 150
const LONG_RETAIN_MS = 60_000
const KEYS = ['mutex', 'mutex', 'other-mutex', 'semaphore', 'failing', 'once', 'once', 'again'] as const

/** The keys of a round: no round sees what another one left. */
export function prefixOf(round: number): string {
  return `r${round}/`
}

/** Draws a call: which key, for how long it is held, and how that ends. */
export function drawTask(random: Random, round: number): Task {
  const kind = random.pick(KEYS)
  const holdMs = random.chance(0.08) ? random.between(200, 700) : random.between(0, 40)
  const timeoutMs = random.chance(0.15) ? random.between(20, 150) : undefined
  const isFailing = random.chance(0.2)
  const isOnce = kind === 'once' || kind === 'again'
  const key = prefixOf(round) + (kind === 'once' ? `once-${random.between(0, 5)}` : kind)
  if (isOnce) {
    const retainMs = kind === 'once' ? LONG_RETAIN_MS : SHORT_RETAIN_MS
    const ending = isFailing ? 'fail' : 'complete'
    return { operation: 'once', key, limit: 1, holdMs, ending, timeoutMs, retainMs }
  }
  const operation = random.pick(['acquire', 'ticket', 'ticket', 'tryAcquire'] as const)
  const ending = kind === 'failing' && isFailing ? 'fail' : 'release'
  const limit = kind === 'semaphore' ? 2 : 1
  return { operation, key, limit, holdMs, ending, timeoutMs, retainMs: undefined }
}
