import type { Entry } from './entry.ts'
import type { CallHistory, History, Hold } from './history.ts'
import { describeCall, type Violation } from './violation.ts'

type Restarted = Extract<Entry, { type: 'restarted' }>
type LockRecord = Restarted['records'][number]

export interface DurabilityOptions {
  /** Whether the session of this client has surely outlived the restart. */
  readonly keepsSession: (client: string) => boolean
}

/** By how much what has a time may end early: clocks of a server and its successor differ by as much, in microseconds. */
const CLOCK_SLACK_MICROS = 100_000

/** Rule 8: what was answered before a restart, and has not ended since, is there after it. */
export function checkDurability({ calls, restarts }: History, { keepsSession }: DurabilityOptions): Violation[] {
  return restarts.flatMap((restarted) => {
    const records = new Map(restarted.records.map((record) => [record.key, record]))
    return calls.flatMap((call) => {
      const lost = lostOf(call, records.get(call.call.key), restarted, keepsSession(call.call.client))
      if (lost === undefined) return []
      const message = `${describeCall(call)}: after the restart at ${restarted.at} the server did not know ${lost}`
      return [{ rule: 'durability', key: call.call.key, message }]
    })
  })
}

function lostOf(
  call: CallHistory,
  record: LockRecord | undefined,
  restarted: Restarted,
  keepsSession: boolean,
): string | undefined {
  if (keepsSession && isGranted(call) && isHeldOver(call, restarted)) {
    const held = record?.holders.some(({ fencingToken }) => fencingToken === call.granted.token)
    if (held !== true) return 'its lease'
  }
  if (keepsSession && waitsOver(call, restarted)) {
    const { client } = call.call
    const present = [...(record?.queue ?? []), ...(record?.holders ?? [])].some(({ node }) => node === client)
    if (!present) return 'its place in the queue'
  }
  if (isGranted(call) && isKeptOver(call, restarted)) {
    if (!((record?.outcome?.fencingToken ?? 0) >= call.granted.token)) return 'its outcome'
  }
  if (isRefusedOver(call, restarted) && record?.failure === undefined) return 'its failure'
  return undefined
}

function isGranted(call: CallHistory): call is Hold {
  return call.granted !== undefined
}

/** Granted before the server was asked, and no ending sent before it had answered. */
function isHeldOver({ granted, ending, result }: Hold, { at, answeredAt }: Restarted): boolean {
  return granted.at < at && (ending?.at ?? result?.at ?? Infinity) > answeredAt
}

/** Told so before, and nothing else before the answer was there: what it was told next was decided afterwards or now. */
function waitsOver({ queued, granted, result }: CallHistory, { at, answeredAt }: Restarted): boolean {
  const before = queued.findLast((entry) => entry.at < at)
  if (before === undefined || (granted?.at ?? result?.at ?? Infinity) < answeredAt) return false
  return (result?.result ?? 'held') === 'held' && (granted?.ticket ?? before.ticket) === before.ticket
}

function isKeptOver({ ending, ended }: Hold, { at, answeredAt }: Restarted): boolean {
  if (ending?.how !== 'complete' || ended === undefined || ended.error !== undefined) return false
  return ended.at < at && ending.at + (ending.retainMs ?? 0) * 1_000 > answeredAt + CLOCK_SLACK_MICROS
}

function isRefusedOver({ result }: CallHistory, { at, answeredAt }: Restarted): boolean {
  if (result?.result !== 'failed' || result.at >= at) return false
  return result.at + (result.retryAfterMs ?? 0) * 1_000 > answeredAt + CLOCK_SLACK_MICROS
}
