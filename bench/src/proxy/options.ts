import { parseArgs } from 'node:util'
import { chosen, positive } from '../flags.ts'
import { type Contender, CONTENDERS, type ScenarioName } from './contender.ts'

const SCENARIOS = ['warm', 'manifests', 'first-byte', 'cold'] as const

/** How much is measured. */
export interface Extent {
  readonly rounds: number
  /** How long each reading of the warm scenarios takes. */
  readonly windowMs: number
  readonly blobBytes: number
  /** How many clients read a warm blob at once. */
  readonly warmClients: readonly number[]
  /** Cold blobs whose first byte is waited for. */
  readonly coldBlobs: number
  readonly coldClients: number
  readonly coldBytesPerSecond: number
}

/** What the command line asks for. */
export interface BenchOptions {
  readonly scenarios: readonly ScenarioName[]
  readonly contenders: readonly Contender[]
  readonly extent: Extent
  readonly json: string | undefined
  readonly profileFolder: string | undefined
}

const MIB = 1024 * 1024

const WHOLE: Extent = {
  rounds: 5,
  windowMs: 2_500,
  blobBytes: 200 * MIB,
  warmClients: [1, 8, 32],
  coldBlobs: 60,
  coldClients: 8,
  coldBytesPerSecond: 50e6,
}

const QUICK: Extent = { ...WHOLE, rounds: 2, windowMs: 1_000, blobBytes: 50 * MIB, coldBlobs: 20 }

/** @throws Error naming an argument that means nothing, and what would */
export function parseOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: args.filter((arg) => arg !== '--'),
    options: {
      scenario: { type: 'string', multiple: true },
      contender: { type: 'string', multiple: true },
      rounds: { type: 'string' },
      clients: { type: 'string' },
      mib: { type: 'string' },
      mbps: { type: 'string' },
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
      profile: { type: 'string' },
    },
  })
  const extent = values.quick ? QUICK : WHOLE
  const names = chosen(
    'contender',
    values.contender,
    CONTENDERS.map(({ name }) => name),
  )
  return {
    scenarios: chosen('scenario', values.scenario, SCENARIOS),
    contenders: CONTENDERS.filter(({ name }) => names.includes(name)),
    extent: {
      ...extent,
      rounds: positive('rounds', values.rounds) ?? extent.rounds,
      coldClients: positive('clients', values.clients) ?? extent.coldClients,
      blobBytes: (positive('mib', values.mib) ?? extent.blobBytes / MIB) * MIB,
      coldBytesPerSecond: (positive('mbps', values.mbps) ?? extent.coldBytesPerSecond / 1e6) * 1e6,
    },
    json: values.json,
    profileFolder: values.profile,
  }
}
