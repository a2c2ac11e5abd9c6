import type { CallHistory, History, Hold } from './history.ts'
import { describeCall, type Violation } from './violation.ts'

/** By how much an outcome may end early: clocks of a server and its successor differ by as much, in microseconds. */
const RETAIN_SLACK_MICROS = 50_000
/** So many reported failures in a row make the server answer `failed`. */
const MAX_FAILURES = 3

/** Rule 3: work that is done is not done again while its outcome lasts, and nobody is given what nobody made. */
export function checkOnce({ calls, holds }: History): Violation[] {
  const once = calls.filter(({ call }) => call.operation === 'once')
  return [
    ...[...holds.values()].flatMap((ofKey) => ofKey.flatMap((hold) => runsAgain(hold, ofKey))),
    ...once.flatMap((call) => valueOfNobody(call, holds.get(call.call.key) ?? [])),
    ...calls.flatMap((call) => failedTooSoon(call, holds.get(call.call.key) ?? [])),
  ]
}

function runsAgain(hold: Hold, ofKey: readonly Hold[]): Violation[] {
  const { ending, ended } = hold
  if (ending?.how !== 'complete' || ending.retainMs === undefined) return []
  if (ended === undefined || ended.error !== undefined) return []
  const untilAt = ending.at + ending.retainMs * 1_000 - RETAIN_SLACK_MICROS
  const again = ofKey.filter(
    ({ call, granted }) =>
      call.operation === 'once' && granted.token > hold.granted.token && granted.at > ended.at && granted.at < untilAt,
  )
  return again.map((other) => {
    const message = `${describeCall(other)} ran although ${describeCall(hold)} had completed`
    return { rule: 'once', key: hold.call.key, message }
  })
}

function valueOfNobody({ call, result }: CallHistory, ofKey: readonly Hold[]): Violation[] {
  if (result?.result !== 'done') return []
  const maker = ofKey.find(({ granted, ending }) => granted.token === result.token && ending?.how === 'complete')
  if (maker !== undefined && maker.ending!.at < result.at) return []
  const message = `${call.call} was given the value of token ${result.token}, which nobody had completed`
  return [{ rule: 'once', key: call.key, message }]
}

function failedTooSoon({ call, result }: CallHistory, ofKey: readonly Hold[]): Violation[] {
  if (result?.result !== 'failed') return []
  const failures = ofKey.filter(({ ending }) => ending?.how === 'fail' && ending.at < result.at)
  if (failures.length >= MAX_FAILURES) return []
  const message = `${call.call} was told that the work has failed after ${failures.length} failures`
  return [{ rule: 'once', key: call.key, message }]
}
