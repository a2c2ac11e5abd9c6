import type { Coordinator } from '../coordination/coordinator.ts'
import type { Pause, SharedPauses, ToldPause } from './pauses.ts'
import type { Place } from './request-gate.ts'

/** What the nodes of a cluster share of an upstream's limits. */
export interface ClusterLimits {
  readonly takePlace: (signal: AbortSignal) => Promise<Place>
  readonly pauses: SharedPauses
}

export type LimitsCoordinator = Pick<Coordinator, 'takePlace' | 'publish' | 'lookUp'>

/**
 * The limits of the upstream with this name.
 *
 * @param places how many bodies the cluster may fetch at a time
 */
export function createClusterLimits(coordinator: LimitsCoordinator, name: string, places: number): ClusterLimits {
  const key = `pause/${name}`
  return {
    // Nodes that are configured otherwise, as in the middle of a change, have places of their own.
    takePlace: (signal) => coordinator.takePlace(`upstream/${name}/${places}`, places, signal),
    pauses: {
      tell: (pause, retainMs) =>
        coordinator.publish(key, pause, retainMs, ({ value, ageMs }) => {
          const known = readPause(value, ageMs)
          return known !== undefined && known.retryAfterMs - ageMs > pause.retryAfterMs
        }),
      ask: async () => {
        const shared = await coordinator.lookUp(key)
        return shared === undefined ? undefined : readPause(shared.value, shared.ageMs)
      },
    },
  }
}

/** It came over the wire. */
function readPause(value: unknown, ageMs: number): ToldPause | undefined {
  const { retryAfterMs, message } = (value ?? {}) as Partial<Record<keyof Pause, unknown>>
  if (typeof retryAfterMs !== 'number' || typeof message !== 'string') return undefined
  return { retryAfterMs, message, ageMs }
}
