import type { ContenderName } from './lock-user.ts'
import { median, quantile, spread } from './statistics.ts'
import type { Reading } from './task.ts'

/** What was measured of one contender in one variant of a scenario. */
export interface Measurement {
  readonly scenario: string
  readonly variant: string
  readonly contender: ContenderName
  readonly readings: Reading[]
  failure?: string
}

/** All that was measured in this run. */
export class Results {
  readonly #measurements: Measurement[] = []

  /** The place for what is measured there; made at the first call. */
  of(scenario: string, variant: string, contender: ContenderName): Measurement {
    const known = this.find(scenario, variant, contender)
    if (known !== undefined) return known
    const made: Measurement = { scenario, variant, contender, readings: [] }
    this.#measurements.push(made)
    return made
  }

  find(scenario: string, variant: string, contender: ContenderName): Measurement | undefined {
    return this.#measurements.find(
      (each) => each.scenario === scenario && each.variant === variant && each.contender === contender,
    )
  }

  /** The median round's median, in milliseconds; undefined when nothing was measured. */
  p50(scenario: string, variant: string, contender: ContenderName): number | undefined {
    return middle(this.#p50s(scenario, variant, contender))
  }

  /** The 99th percentile of the samples of all rounds together: one round has too few of them. */
  p99(scenario: string, variant: string, contender: ContenderName): number | undefined {
    const samples = this.#readings(scenario, variant, contender).flatMap(({ samplesMs = [] }) => samplesMs)
    return samples.length === 0 ? undefined : quantile(samples, 0.99)
  }

  /** The median of a number over the rounds. */
  number(scenario: string, variant: string, contender: ContenderName, name: string): number | undefined {
    return middle(this.#numbers(scenario, variant, contender, name))
  }

  /** How far the rounds lie apart, of a number or else of the medians. */
  spread(scenario: string, variant: string, contender: ContenderName, name?: string): number | undefined {
    const values =
      name === undefined ? this.#p50s(scenario, variant, contender) : this.#numbers(scenario, variant, contender, name)
    return values.length === 0 ? undefined : spread(values)
  }

  /** For a file: numbers and medians of each round, without the samples. */
  toJSON(): unknown {
    return this.#measurements.map(({ readings, ...what }) => ({
      ...what,
      rounds: readings.map(({ samplesMs, numbers }) => ({
        ...numbers,
        ...(samplesMs === undefined
          ? {}
          : { samples: samplesMs.length, p50Ms: quantile(samplesMs, 0.5), p99Ms: quantile(samplesMs, 0.99) }),
      })),
    }))
  }

  #p50s(scenario: string, variant: string, contender: ContenderName): number[] {
    return this.#readings(scenario, variant, contender).flatMap(({ samplesMs = [] }) =>
      samplesMs.length === 0 ? [] : [quantile(samplesMs, 0.5)],
    )
  }

  #numbers(scenario: string, variant: string, contender: ContenderName, name: string): number[] {
    return this.#readings(scenario, variant, contender).flatMap(({ numbers }) => numbers?.[name] ?? [])
  }

  #readings(scenario: string, variant: string, contender: ContenderName): readonly Reading[] {
    return this.find(scenario, variant, contender)?.readings ?? []
  }
}

function middle(values: readonly number[]): number | undefined {
  return values.length === 0 ? undefined : median(values)
}
