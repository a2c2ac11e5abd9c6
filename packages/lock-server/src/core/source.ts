import type { MachineContext } from './context.ts'
import type { KeyRecord, SessionRef, Waiter } from './record.ts'

/** From whom a waiter streams while it waits: the first holder that can be reached and is not the waiter itself. */
export function chooseSource(record: KeyRecord, waiter: Waiter, context: MachineContext): SessionRef | undefined {
  const reachable = record.holds.find(
    (hold) => hold.session !== waiter.session && context.session(hold.session)?.endpoint !== undefined,
  )
  return reachable?.session
}
