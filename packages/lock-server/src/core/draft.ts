import type { MachineContext } from './context.ts'
import { appendEnded } from './ended-tickets.ts'
import type { Ended, KeyRecord } from './record.ts'

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/** One decision in the making: a shallow copy of the record, whose arrays are replaced and never changed in place. */
export interface Draft {
  readonly record: Mutable<KeyRecord>
  readonly context: MachineContext
  /** Tickets whose answer has changed, so that calls parked for them must be answered. */
  readonly wake: Set<string>
}

export function createDraft(record: KeyRecord, context: MachineContext): Draft {
  return { record: { ...record }, context, wake: new Set() }
}

/** Remembers how a ticket ended, so that a repeated or late request of it changes nothing. */
export function rememberEnd(draft: Draft, end: Omit<Ended, 'untilMs'>): void {
  const { settings, nowMs } = draft.context
  // Never before the one ahead of it, even where the clock was set back while the server was away.
  const untilMs = Math.max(nowMs + settings.endedMs, draft.record.ended.at(-1)?.untilMs ?? 0)
  const remembered = { ...end, untilMs }
  draft.record.ended = appendEnded(draft.record.ended, remembered, settings.maxEnded)
}
