import { parseArgs } from 'node:util'
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
  const rounds = values.rounds === undefined ? extent.rounds : Number(values.rounds)
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`--rounds: expected 1 or more, got ${values.rounds}`)
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

/** The names of a flag that may be repeated or list several; all of them when it is absent. */
function chosen<Name extends string>(flag: string, values: string[] | undefined, known: readonly Name[]): Name[] {
  const wanted = values?.flatMap((value) => value.split(','))
  const unknown = wanted?.find((name) => !known.some((each) => each === name))
  if (unknown !== undefined) throw new Error(`--${flag}: expected ${known.join(', ')}, got ${unknown}`)
  return known.filter((name) => wanted === undefined || wanted.includes(name))
}
