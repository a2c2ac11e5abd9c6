import type { Entrant } from './entrant.ts'
import type { Results } from './results.ts'
import type { Variant } from './scenarios.ts'

interface RoundsOptions {
  readonly scenario: string
  readonly variants: readonly Variant[]
  readonly rounds: number
  readonly results: Results
  readonly onProgress: (text: string) => void
}

/**
 * Measures the variants of a scenario, each contender in turn and that several times over, so that a noisy minute of
 * the machine hits all alike. Who begins changes with the round. One round before is not counted.
 */
export async function runRounds(entrants: readonly Entrant[], options: RoundsOptions): Promise<void> {
  const { scenario, variants, results, onProgress } = options
  for (let round = 0; round <= options.rounds; round++) {
    for (const variant of variants) {
      const rounds = variant.rounds ?? options.rounds
      // What runs but once or twice takes seconds, which is its warm-up.
      if (round > rounds || (round === 0 && rounds < options.rounds)) continue
      for (const entrant of rotated(entrants, round)) {
        const { contender } = entrant
        const measurement = results.of(scenario, variant.name, contender.name)
        if (!variant.takesPart(contender) || measurement.failure !== undefined) continue
        onProgress(`${scenario}, ${variant.name}, round ${round} of ${rounds}: ${contender.label}`)
        try {
          const reading = await entrant.run(variant.task(String(round)))
          if (round > 0) measurement.readings.push(reading)
        } catch (error) {
          measurement.failure = String(error)
        }
      }
    }
  }
}

function rotated<T>(values: readonly T[], by: number): T[] {
  const cut = values.length === 0 ? 0 : by % values.length
  return [...values.slice(cut), ...values.slice(0, cut)]
}
