import type { ContenderName } from './lock-user.ts'
import type { Results } from './results.ts'
import { ACQUIRE_RELEASE } from './scenarios.ts'

/** A ratio that is to be reached. */
export interface Aim {
  readonly text: string
  /** Undefined when one of the two was not measured in this run. */
  readonly ratio: number | undefined
  readonly sign: '≤' | '≥'
  readonly limit: number
}

export function isReached({ ratio, sign, limit }: Aim): boolean | undefined {
  if (ratio === undefined) return undefined
  return sign === '≤' ? ratio <= limit : ratio >= limit
}

/** What the lock server wants to be, next to its peers, with the SQLite store. */
export function aimsOf(results: Results): readonly Aim[] {
  const ours = 'layerlock-sqlite'
  const handOver = (waiters: number, name: ContenderName) => results.p50('hand-over', String(waiters), name)
  const onManyKeys = (name: ContenderName) => results.number('throughput', '64', name, 'perSecond')
  const sequential = (name: ContenderName) => results.p50('sequential', ACQUIRE_RELEASE, name)
  const fasterEtcd = greatest([onManyKeys('etcd'), onManyKeys('etcd-txn')])
  const aim = (text: string, ratio: number | undefined, sign: Aim['sign'], limit: number) => ({
    text,
    ratio,
    sign,
    limit,
  })
  return [
    ...[1, 100].flatMap((waiters) => [
      aim(
        `hand-over p50, ${waiters} waiting, ÷ etcd's`,
        quotient(handOver(waiters, ours), handOver(waiters, 'etcd')),
        '≤',
        1,
      ),
      aim(
        `redlock's hand-over p50, ${waiters} waiting, ÷ ours`,
        quotient(handOver(waiters, 'redlock'), handOver(waiters, ours)),
        '≥',
        50,
      ),
    ]),
    aim("throughput on 64 keys ÷ etcd's (its faster way)", quotient(onManyKeys(ours), fasterEtcd), '≥', 5),
    aim("throughput on 64 keys ÷ redlock's", quotient(onManyKeys(ours), onManyKeys('redlock')), '≥', 0.5),
    aim("sequential p50 ÷ redlock's", quotient(sequential(ours), sequential('redlock')), '≤', 3),
  ]
}

function quotient(value: number | undefined, of: number | undefined): number | undefined {
  return value === undefined || of === undefined ? undefined : value / of
}

function greatest(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined)
  return known.length === 0 ? undefined : Math.max(...known)
}
