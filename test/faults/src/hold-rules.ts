import { type History, type Hold, lastHeldAt } from './history.ts'
import { describeCall, type Violation } from './violation.ts'

/** Rule 1: at no moment do more than `limit` holders have a key and can act on it. */
export function checkExclusion({ holds }: History): Violation[] {
  return [...holds].flatMap(([key, ofKey]) => {
    const limit = ofKey[0]!.call.limit
    return ofKey.flatMap((hold) => {
      // Only at the moments of grants does the number of holders grow.
      const at = hold.granted.at
      const others = ofKey.filter((other) => other !== hold && other.granted.at <= at && at < lastHeldAt(other))
      if (others.length < limit) return []
      const message = `${describeCall(hold)} was granted while ${others.map(describeCall).join(', ')} held the key`
      return [{ rule: 'mutual exclusion', key, message }]
    })
  })
}

/** Rule 6: what a mutex's holders write comes in the order of their tokens. */
export function checkWrites({ holds }: History): Violation[] {
  return [...holds].flatMap(([key, ofKey]) => {
    if (ofKey[0]!.call.limit !== 1) return []
    const writes = ofKey.flatMap((hold) => hold.writes.map(({ at }) => ({ at, hold })))
    writes.sort((one, other) => one.at - other.at)
    return writes.flatMap(({ hold, at }, index) => {
      const before = writes[index - 1]
      if (before === undefined || before.hold.granted.token <= hold.granted.token) return []
      const message = `${describeCall(hold)} wrote at ${at}, after ${describeCall(before.hold)} at ${before.at}`
      return [{ rule: 'fenced writes', key, message }]
    })
  })
}

/** Rule 6 and 8: each grant's token is greater than those of all grants that were there before it was asked for. */
export function checkTokens({ holds }: History): Violation[] {
  return [...holds].flatMap(([key, ofKey]) => [...repeatedTokens(key, ofKey), ...tokensOutOfOrder(key, ofKey)])
}

function repeatedTokens(key: string, ofKey: readonly Hold[]): Violation[] {
  return ofKey.flatMap((hold, index) => {
    const before = ofKey[index - 1]
    if (before?.granted.token !== hold.granted.token) return []
    const message = `${describeCall(before)} and ${describeCall(hold)} have the same token`
    return [{ rule: 'token order', key, message }]
  })
}

function tokensOutOfOrder(key: string, ofKey: readonly Hold[]): Violation[] {
  const violations: Violation[] = []
  // From the greatest token down: the earliest grant among those with greater tokens.
  let earliest: Hold | undefined
  for (const hold of ofKey.toReversed()) {
    if (earliest !== undefined && earliest.granted.at < hold.call.at) {
      const message = `${describeCall(hold)} asked after ${describeCall(earliest)} was granted, and got a smaller token`
      violations.push({ rule: 'token order', key, message })
    }
    if (earliest === undefined || hold.granted.at < earliest.granted.at) earliest = hold
  }
  return violations
}
