import { mebibytes, milliseconds, number, percent, quotient, renderTable } from '../table.ts'
import { aimsOf, isReached } from './aims.ts'
import type { Contender, ScenarioName } from './contender.ts'
import type { Extent } from './options.ts'
import type { Results } from './results.ts'
import { COLD_VARIANTS, ONE_COPY } from './scenarios/cold.ts'
import { FIRST_BYTE_VARIANT } from './scenarios/first-byte.ts'
import { clientsVariant, MANIFEST_VARIANTS } from './scenarios/warm.ts'

/** What is printed, and of whom. */
interface ReportOptions {
  readonly results: Results
  readonly extent: Extent
  readonly contenders: readonly Contender[]
}

type Rows = readonly (readonly string[])[]

/** The table of one scenario, with its title. */
export function tableOf(scenario: ScenarioName, options: ReportOptions): string {
  const [title, head, ...rows] = TABLES[scenario](options)
  return renderTable(title![0]!, head!, rows)
}

/** The table of what is aimed at, and whether this run reached it. */
export function aimsTable(results: Results, extent: Extent): string {
  const rows = aimsOf(results, extent).map((aim) => {
    const reached = isReached(aim)
    const verdict = reached === undefined ? 'not measured' : reached ? 'holds' : 'does not hold'
    return [aim.text, number(aim.value), `${aim.sign} ${aim.limit}`, verdict]
  })
  return renderTable('Aims', ['', '', 'aim', ''], rows)
}

const TABLES: Readonly<Record<ScenarioName, (options: ReportOptions) => Rows>> = {
  warm: ({ results, extent, contenders }) => [
    [`A warm blob of ${mebibytes(extent.blobBytes)}, read again and again`],
    ['', 'clients', 'GB/s', '±', 'CPU s/GB', 'peak RSS', 'load CPU', "÷ docker-registry's", "÷ nginx's"],
    ...taking('warm', contenders).flatMap(({ name, label }) =>
      extent.warmClients.map((clients) => {
        const variant = clientsVariant(clients)
        const of = (what: string, contender = name) => results.number('warm', variant, contender, what)
        const rate = of('bytesPerSecond')
        return [
          label,
          String(clients),
          number(rate === undefined ? undefined : rate / 1e9),
          percent(results.spread('warm', variant, name, 'bytesPerSecond')),
          number(of('cpuPerGb')),
          mebibytes(of('peakRssBytes')),
          percent(of('loadShare')),
          quotient(rate, of('bytesPerSecond', 'docker-registry')),
          quotient(rate, of('bytesPerSecond', 'nginx')),
          results.failureOf('warm', variant, name) ?? '',
        ]
      }),
    ),
  ],
  manifests: ({ results, contenders }) => [
    ['A cached manifest'],
    ['', '', 'requests/s', '±', 'p50', 'p99', 'CPU', "÷ docker-registry's, own storage"],
    ...taking('manifests', contenders).flatMap(({ name, label }) =>
      MANIFEST_VARIANTS.map((variant) => {
        const of = (what: string, contender = name) => results.number('manifests', variant, contender, what)
        const rate = of('answersPerSecond')
        return [
          label,
          variant,
          rate === undefined ? '' : Math.round(rate).toLocaleString('en'),
          percent(results.spread('manifests', variant, name, 'answersPerSecond')),
          milliseconds(of('p50Ms')),
          milliseconds(of('p99Ms')),
          milliseconds(of('cpuMsPerAnswer')),
          quotient(rate, of('answersPerSecond', 'docker-registry-own')),
          results.failureOf('manifests', variant, name) ?? '',
        ]
      }),
    ),
  ],
  'first-byte': ({ results, contenders }) => [
    ['The first byte of a cold blob, upstream without a limit'],
    ['', 'p50', '±', 'later than direct'],
    ...taking('first-byte', contenders).map(({ name, label }) => {
      const p50 = (contender = name) => results.number('first-byte', FIRST_BYTE_VARIANT, contender, 'p50Ms')
      const [own, direct] = [p50(), p50('direct')]
      return [
        label,
        milliseconds(own),
        percent(results.spread('first-byte', FIRST_BYTE_VARIANT, name, 'p50Ms')),
        own === undefined || direct === undefined ? '' : milliseconds(own - direct),
        results.failureOf('first-byte', FIRST_BYTE_VARIANT, name) ?? '',
      ]
    }),
  ],
  cold: ({ results, extent, contenders }) => {
    const oneCopyMs = results.number('cold', ONE_COPY, 'direct', 'wallMs')
    return [
      [
        `One cold blob of ${mebibytes(extent.blobBytes)}, ${extent.coldClients} clients at once, upstream at ` +
          `${extent.coldBytesPerSecond / 1e6} MB/s in all (one direct copy: ${milliseconds(oneCopyMs)})`,
      ],
      [
        '',
        'upstream',
        'fetches',
        'bytes ÷ one copy',
        'wall',
        '÷ one copy',
        'worst first byte',
        'clients with wrong bytes',
      ],
      ...taking('cold', contenders).flatMap(({ name, label }) =>
        COLD_VARIANTS.map((variant) => {
          const of = (what: string) => results.number('cold', variant, name, what)
          const wallMs = of('wallMs')
          return [
            label,
            variant,
            String(of('fetches') ?? ''),
            of('copies')?.toFixed(3) ?? '',
            milliseconds(wallMs),
            wallMs === undefined || oneCopyMs === undefined ? '' : (wallMs / oneCopyMs).toFixed(3),
            milliseconds(of('firstByteMs')),
            String(of('wrong') ?? ''),
            results.failureOf('cold', variant, name) ?? '',
          ]
        }),
      ),
    ]
  },
}

function taking(scenario: ScenarioName, contenders: readonly Contender[]): readonly Contender[] {
  return contenders.filter(({ scenarios }) => scenarios.includes(scenario))
}
