import { processOf } from './entry.ts'
import { checkDurability } from './durability-rules.ts'
import type { History } from './history.ts'
import { checkExclusion, checkTokens, checkWrites } from './hold-rules.ts'
import { checkOnce } from './outcome-rules.ts'
import { checkQueueOrder } from './queue-rules.ts'
import { describeCall, type Violation } from './violation.ts'

export interface CheckOptions {
  /** Whether a client's process is never killed or stopped, and its TTL longer than any silence of the server. */
  readonly isSteady: (client: string) => boolean
}

/** Holds what clients saw against the rules of the lock service. */
export function checkHistory(history: History, { isSteady }: CheckOptions): Violation[] {
  return [
    ...checkCrashes(history),
    ...checkExclusion(history),
    ...checkWrites(history),
    ...checkTokens(history),
    ...checkQueueOrder(history),
    ...checkOnce(history),
    ...checkDurability(history, { keepsSession: isSteady }),
    ...checkSessions(history, isSteady),
    ...checkEnds(history),
  ]
}

function checkCrashes({ crashes }: History): Violation[] {
  return crashes.map(({ client, error }) => ({ rule: 'no crash', message: `${client}: ${error}` }))
}

function checkSessions({ sessions }: History, isSteady: (client: string) => boolean): Violation[] {
  return sessions
    .filter(({ client, count }) => count > 1 && isSteady(client))
    .map(({ client, at }) => ({ rule: 'sessions', message: `${client} lost a session that it could renew, by ${at}` }))
}

/** Every call ends, with a result or a typed error, unless its process was killed. */
function checkEnds({ calls, killed }: History): Violation[] {
  return calls
    .filter(({ result, call }) => result === undefined && !killed.has(processOf(call.client)))
    .map((call) => ({ rule: 'every call ends', key: call.call.key, message: `${describeCall(call)} never ended` }))
}
