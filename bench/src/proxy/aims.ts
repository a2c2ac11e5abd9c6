import type { Contender, ContenderName, ScenarioName } from './contender.ts'
import type { Extent } from './options.ts'
import type { Results } from './results.ts'
import { COLD_VARIANTS, ONE_COPY } from './scenarios/cold.ts'
import { FIRST_BYTE_VARIANT } from './scenarios/first-byte.ts'
import { clientsVariant, MANIFEST_VARIANTS } from './scenarios/warm.ts'

/** A number that is to be reached. */
export interface Aim {
  readonly text: string
  /** Undefined when what it takes was not measured in this run. */
  readonly value: number | undefined
  readonly sign: '≤' | '≥'
  readonly limit: number
}

export function isReached({ value, sign, limit }: Aim): boolean | undefined {
  if (value === undefined) return undefined
  return sign === '≤' ? value <= limit : value >= limit
}

/** What the pull proxy wants to be, next to others. */
export function aimsOf(results: Results, { warmClients }: Extent): readonly Aim[] {
  const of = (scenario: ScenarioName, variant: string, name: string, contender: ContenderName = 'layerlock') =>
    results.number(scenario, variant, contender, name)
  const ratio = (scenario: ScenarioName, variant: string, name: string, contender: Contender['name']) =>
    quotient(of(scenario, variant, name), of(scenario, variant, name, contender))
  const aim = (text: string, value: number | undefined, sign: Aim['sign'], limit: number) => ({
    text,
    value,
    sign,
    limit,
  })
  const addedMs = difference(
    of('first-byte', FIRST_BYTE_VARIANT, 'p50Ms'),
    of('first-byte', FIRST_BYTE_VARIANT, 'p50Ms', 'direct'),
  )
  const [whole, cut] = COLD_VARIANTS
  const [, byDigest, byTag] = MANIFEST_VARIANTS
  return [
    ...warmClients
      .map(clientsVariant)
      .flatMap((variant) => [
        aim(
          `warm, ${variant}: bytes/s ÷ docker-registry's`,
          ratio('warm', variant, 'bytesPerSecond', 'docker-registry'),
          '≥',
          1.15,
        ),
        aim(`warm, ${variant}: bytes/s ÷ nginx's`, ratio('warm', variant, 'bytesPerSecond', 'nginx'), '≥', 0.75),
        aim(
          `warm, ${variant}: CPU per GB ÷ docker-registry's`,
          ratio('warm', variant, 'cpuPerGb', 'docker-registry'),
          '≤',
          1,
        ),
      ]),
    ...[byDigest, byTag].map((variant) =>
      aim(
        `manifests ${variant}: requests/s ÷ docker-registry's from its own storage`,
        ratio('manifests', variant, 'answersPerSecond', 'docker-registry-own'),
        '≥',
        8,
      ),
    ),
    aim('cold blob: first byte later than direct, ms', addedMs, '≤', 5),
    aim('cold: fetches', of('cold', whole, 'fetches'), '≤', 1),
    aim(
      'cold: wall time ÷ one direct copy',
      quotient(of('cold', whole, 'wallMs'), of('cold', ONE_COPY, 'wallMs', 'direct')),
      '≤',
      1.02,
    ),
    aim('cold: worst first byte, ms', of('cold', whole, 'firstByteMs'), '≤', 50),
    aim('cold, cut at half: clients with wrong bytes', of('cold', cut, 'wrong'), '≤', 0),
    aim('cold, cut at half: bytes from upstream ÷ one copy', of('cold', cut, 'copies'), '≤', 1.01),
  ]
}

function quotient(value: number | undefined, of: number | undefined): number | undefined {
  return value === undefined || of === undefined ? undefined : value / of
}

function difference(value: number | undefined, from: number | undefined): number | undefined {
  return value === undefined || from === undefined ? undefined : value - from
}
