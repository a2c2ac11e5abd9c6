import { parseArgs } from 'node:util'
import { chosen, positive } from '../flags.ts'
import { CONTENDERS, type Contender } from './contender.ts'
import { type Extent, QUICK, type ScenarioName, WHOLE } from './scenarios.ts'

const SCENARIOS = ['sequential', 'throughput', 'hand-over', 'crowd', 'memory'] as const

/** What the command line asks for. */
export interface BenchOptions {
  readonly scenarios: readonly ScenarioName[]
  readonly contenders: readonly Contender[]
  readonly extent: Extent
  readonly json: string | undefined
  readonly profileFolder: string | undefined
}

/** @throws Error naming an argument that means nothing, and what would */
export function parseOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: args.filter((arg) => arg !== '--'),
    options: {
      scenario: { type: 'string', multiple: true },
      contender: { type: 'string', multiple: true },
      rounds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
      profile: { type: 'string' },
    },
  })
  const extent = values.quick ? QUICK : WHOLE
  const rounds = positive('rounds', values.rounds) ?? extent.rounds
  const names = chosen(
    'contender',
    values.contender,
    CONTENDERS.map(({ name }) => name),
  )
  return {
    scenarios: chosen('scenario', values.scenario, SCENARIOS),
    contenders: CONTENDERS.filter(({ name }) => names.includes(name)),
    extent: { ...extent, rounds },
    json: values.json,
    profileFolder: values.profile,
  }
}
