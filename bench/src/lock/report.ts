import { mebibytes, milliseconds, number, percent, quotient, renderTable } from '../table.ts'
import { aimsOf, isReached } from './aims.ts'
import { labelOf } from './contender.ts'
import type { ContenderName } from './lock-user.ts'
import type { Results } from './results.ts'
import { ACQUIRE_RELEASE, type Extent, KEYS, ONCE, type ScenarioName } from './scenarios.ts'

/** What is printed, and of whom. */
interface ReportOptions {
  readonly results: Results
  readonly extent: Extent
  readonly names: readonly ContenderName[]
}

/** The table of one scenario, with its title. */
export function tableOf(scenario: ScenarioName, options: ReportOptions): string {
  const [title, head, ...rows] = TABLES[scenario](options)
  return renderTable(title!.join(''), head!, rows)
}

/** The table of what is aimed at, and whether this run reached it. */
export function aimsTable(results: Results): string {
  const rows = aimsOf(results).map((aim) => {
    const reached = isReached(aim)
    const verdict = reached === undefined ? 'not measured' : reached ? 'holds' : 'does not hold'
    return [aim.text, aim.ratio === undefined ? '' : number(aim.ratio), `${aim.sign} ${aim.limit}`, verdict]
  })
  return renderTable('Aims, on the SQLite store', ['', 'ratio', 'aim', ''], rows)
}

type Rows = readonly (readonly string[])[]

const TABLES: Readonly<Record<ScenarioName, (options: ReportOptions) => Rows>> = {
  sequential: ({ results, names }) => [
    ['One caller, one lock after another'],
    ['', 'p50', 'p99', '± of p50', "p50 ÷ redlock's"],
    ...names.flatMap((name) =>
      [ACQUIRE_RELEASE, ONCE]
        .filter((variant) => variant === ACQUIRE_RELEASE || name.startsWith('layerlock'))
        .map((variant) => {
          const p50 = results.p50('sequential', variant, name)
          return [
            variant === ONCE ? `${labelOf(name)}, once on fresh keys` : labelOf(name),
            milliseconds(p50),
            milliseconds(results.p99('sequential', variant, name)),
            percent(results.spread('sequential', variant, name)),
            quotient(p50, results.p50('sequential', ACQUIRE_RELEASE, 'redlock')),
          ].concat(failureOf(results, 'sequential', [variant], name))
        }),
    ),
  ],
  throughput: ({ results, names }) => [
    ['Acquire + release a second, each of many loops on a key of its own'],
    ['', ...KEYS.map((keys) => `${keys} ${keys === 1 ? 'key' : 'keys'}`), '± at 64', "64 ÷ redlock's", "64 ÷ etcd's"],
    ...names.map((name) => {
      const perSecond = (keys: number, of = name) => results.number('throughput', String(keys), of, 'perSecond')
      return [
        labelOf(name),
        ...KEYS.map((keys) => whole(perSecond(keys))),
        percent(results.spread('throughput', '64', name, 'perSecond')),
        quotient(perSecond(64), perSecond(64, 'redlock')),
        quotient(perSecond(64), perSecond(64, 'etcd')),
      ].concat(failureOf(results, 'throughput', KEYS.map(String), name))
    }),
  ],
  'hand-over': ({ results, names, extent: { handOverWaiters } }) => [
    ['From before release until the next acquire resolves; "in order": went to who had waited longest'],
    ['', 'waiters', 'p50', 'p99', '± of p50', 'in order', "p50 ÷ etcd's"],
    ...names
      .filter((name) => name !== 'etcd-txn')
      .flatMap((name) =>
        handOverWaiters.map((waiters) => {
          const variant = String(waiters)
          const p50 = results.p50('hand-over', variant, name)
          return [
            labelOf(name),
            variant,
            milliseconds(p50),
            milliseconds(results.p99('hand-over', variant, name)),
            percent(results.spread('hand-over', variant, name)),
            percent(results.number('hand-over', variant, name, 'inOrder')),
            quotient(p50, results.p50('hand-over', variant, 'etcd')),
          ].concat(failureOf(results, 'hand-over', [variant], name))
        }),
      ),
  ],
  crowd: ({ results, names, extent: { crowd } }) => {
    const variant = `${crowd.waiters} on ${crowd.keys} keys`
    return [
      [`${crowd.waiters} callers of once wait on ${crowd.keys} keys, one works on each (the peers have no outcomes)`],
      ['', 'until all are in line', 'from the end of the work until all have the value'],
      ...names
        .filter((name) => name.startsWith('layerlock'))
        .map((name) =>
          [
            labelOf(name),
            milliseconds(results.number('crowd', variant, name, 'inLineMs')),
            milliseconds(results.number('crowd', variant, name, 'doneMs')),
          ].concat(failureOf(results, 'crowd', [variant], name)),
        ),
    ]
  },
  memory: ({ results, names, extent: { records } }) => {
    const variant = String(records)
    return [
      [`A server with ${records} outcomes that have a copy each (redis: plain keys)`],
      ['', 'RSS empty', 'RSS full', 'a record', 'start empty', 'start with them', 'RSS then'],
      ...names
        .filter((name) => name.startsWith('layerlock') || name === 'redlock')
        .map((name) => {
          const of = (what: string) => results.number('memory', variant, name, what)
          const [empty, full] = [of('emptyBytes'), of('fullBytes')]
          return [
            name === 'redlock' ? 'redis' : labelOf(name),
            mebibytes(empty),
            mebibytes(full),
            empty === undefined || full === undefined ? '' : `${((full - empty) / records).toFixed(0)} B`,
            milliseconds(of('startMs')),
            milliseconds(of('restartMs')),
            mebibytes(of('restartedBytes')),
          ].concat(failureOf(results, 'memory', [variant], name))
        }),
    ]
  },
}

function failureOf(results: Results, scenario: string, variants: readonly string[], name: ContenderName): string[] {
  const failures = variants.flatMap((variant) => results.find(scenario, variant, name)?.failure ?? [])
  return failures.length === 0 ? [] : [`failed: ${failures[0]!.slice(0, 100)}`]
}

function whole(value: number | undefined): string {
  return value === undefined ? '' : Math.round(value).toLocaleString('en')
}
