import type { CallHistory, History } from './history.ts'
import { describeCall, type Violation } from './violation.ts'

/** One ticket's stay in the queue. A call that lost its session goes on with another ticket, at another place. */
interface Stay {
  readonly call: CallHistory
  readonly ticket: string
  /** The ticket did not exist before. */
  readonly askedAt: number
  /** The ticket was surely in the queue by then. */
  readonly queuedAt: number
  readonly positions: readonly number[]
  /** Present when this ticket was granted. */
  readonly token: number | undefined
}

/** Rule 2: among waiters that stayed, grants come in the order in which they got in line. */
export function checkQueueOrder({ calls }: History): Violation[] {
  const staysByKey = Map.groupBy(calls.flatMap(staysOf), ({ call }) => call.call.key)
  return [...staysByKey].flatMap(([key, stays]) => [
    ...stays.filter(wentBack).map((stay): Violation => {
      const message = `${describeCall(stay.call)} went back in the queue: ${stay.positions.join(', ')}`
      return { rule: 'queue order', key, message }
    }),
    ...overtakings(key, stays),
  ])
}

function staysOf(call: CallHistory): Stay[] {
  const byTicket = Map.groupBy(call.queued, ({ ticket }) => ticket)
  return [...byTicket].map(([ticket, queued], index) => ({
    call,
    ticket,
    // A later ticket of the call is younger than the last answer to the one before.
    askedAt: index === 0 ? call.call.at : [...byTicket.values()][index - 1]!.at(-1)!.at,
    queuedAt: queued[0]!.at,
    positions: queued.map(({ position }) => position),
    token: call.granted?.ticket === ticket ? call.granted.token : undefined,
  }))
}

function wentBack({ positions }: Stay): boolean {
  return positions.some((position, index) => index > 0 && position > positions[index - 1]!)
}

function overtakings(key: string, stays: readonly Stay[]): Violation[] {
  const granted = stays.filter(({ token }) => token !== undefined)
  return granted.flatMap((late) => {
    const ahead = granted.filter((early) => early.queuedAt < late.askedAt && early.token! > late.token!)
    return ahead.map((early): Violation => {
      const message = `${describeCall(late.call)} was granted before ${describeCall(early.call)}, which was in line earlier`
      return { rule: 'queue order', key, message }
    })
  })
}
