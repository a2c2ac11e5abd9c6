import { median, spread } from '../lock/statistics.ts'
import type { ContenderName, ScenarioName } from './contender.ts'

/** Numbers of one round. */
export type Numbers = Readonly<Record<string, number>>

interface Measurement {
  readonly scenario: ScenarioName
  readonly variant: string
  readonly contender: ContenderName
  readonly rounds: Numbers[]
  failure?: string
}

/** All that was measured in this run. */
export class Results {
  readonly #measurements: Measurement[] = []

  add(scenario: ScenarioName, variant: string, contender: ContenderName, numbers: Numbers): void {
    this.#of(scenario, variant, contender).rounds.push(numbers)
  }

  /** It is not measured again. */
  fail(scenario: ScenarioName, variant: string, contender: ContenderName, failure: string): void {
    this.#of(scenario, variant, contender).failure = failure
  }

  failureOf(scenario: ScenarioName, variant: string, contender: ContenderName): string | undefined {
    return this.#find(scenario, variant, contender)?.failure
  }

  /** The median of a number over the rounds; undefined when nothing was measured. */
  number(scenario: ScenarioName, variant: string, contender: ContenderName, name: string): number | undefined {
    const values = this.#values(scenario, variant, contender, name)
    return values.length === 0 ? undefined : median(values)
  }

  /** How far the rounds lie apart, as a share of the median. */
  spread(scenario: ScenarioName, variant: string, contender: ContenderName, name: string): number | undefined {
    const values = this.#values(scenario, variant, contender, name)
    return values.length === 0 ? undefined : spread(values)
  }

  toJSON(): unknown {
    return this.#measurements
  }

  #values(scenario: ScenarioName, variant: string, contender: ContenderName, name: string): number[] {
    return this.#find(scenario, variant, contender)?.rounds.flatMap((numbers) => numbers[name] ?? []) ?? []
  }

  #find(scenario: ScenarioName, variant: string, contender: ContenderName): Measurement | undefined {
    return this.#measurements.find(
      (each) => each.scenario === scenario && each.variant === variant && each.contender === contender,
    )
  }

  #of(scenario: ScenarioName, variant: string, contender: ContenderName): Measurement {
    const known = this.#find(scenario, variant, contender)
    if (known !== undefined) return known
    const made: Measurement = { scenario, variant, contender, rounds: [] }
    this.#measurements.push(made)
    return made
  }
}
