import { FAULT_KINDS, type FaultKind } from './entry.ts'
import { createRandom } from '@layerlock/test-support'

/** One fault: what is done to whom, and when it is over. */
export interface PlannedFault {
  readonly kind: FaultKind
  /** From the beginning of the round, in milliseconds. */
  readonly atMs: number
  /** For how long the target is stopped, or how soon after it is up again a second kill follows. */
  readonly durationMs: number
  /** Which of the client processes that may be hurt. */
  readonly client: number
}

/** What happens in one round. It follows from the seed and the round's number; how things fall in time does not. */
export interface RoundPlan {
  readonly round: number
  /** For how long clients begin new calls, in milliseconds. */
  readonly workMs: number
  readonly faults: readonly PlannedFault[]
}

/** The shortest session, so the longest that the key of a dead client stays taken. */
export const SHORT_TTL_MS = 1_000

export function drawPlan(seed: number, round: number, clients: number): RoundPlan {
  const random = createRandom(seed, round, 'plan')
  const workMs = random.between(300, 900)
  const count = random.chance(0.45) ? 2 : 1
  const first = random.between(0, clients - 1)
  const faults = Array.from({ length: count }, (_, index): PlannedFault => {
    const kind = random.pick(FAULT_KINDS)
    return {
      kind,
      atMs: random.between(30, workMs),
      durationMs: durationOf(kind, random.next()),
      // Two faults never hurt the same client process.
      client: (first + index) % clients,
    }
  })
  return { round, workMs, faults }
}

function durationOf(kind: FaultKind, share: number): number {
  switch (kind) {
    case 'client-stop':
      return Math.round(SHORT_TTL_MS * (1.1 + share * 0.5))
    case 'server-stop':
      // Mostly shorter than any session, sometimes longer than the short ones.
      return Math.round(share < 0.8 ? 50 + share * 700 : SHORT_TTL_MS * (0.9 + share * 0.5))
    case 'server-kill':
    case 'server-term':
    case 'client-kill':
      return 0
  }
}
