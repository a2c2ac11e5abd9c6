import type { LockClient } from '@layerlock/client'

/** What a client can be asked to do; `ticket` waits step by step, and so learns of its place in the queue. */
export type Operation = 'acquire' | 'ticket' | 'tryAcquire' | 'once'

type LockRecord = Awaited<ReturnType<LockClient['poll']>>

/** What belongs to one call of a client. */
interface OfCall {
  readonly at: number
  /** Names the call: the client's name and a number. */
  readonly call: string
}

/**
 * One line of a history. `at` is the machine's monotonic clock in microseconds, the same for all processes. It is taken
 * so that what is claimed was surely true at that moment: after an answer has come, before a lease is asserted.
 */
export type Entry =
  | (OfCall & {
      readonly type: 'call'
      readonly client: string
      readonly key: string
      readonly operation: Operation
      readonly limit: number
    })
  | (OfCall & { readonly type: 'queued'; readonly ticket: string; readonly position: number })
  | (OfCall & { readonly type: 'granted'; readonly token: number; readonly ticket?: string })
  /** The lease was asserted after `at`, and something was written under its token. */
  | (OfCall & { readonly type: 'write' })
  | (OfCall & { readonly type: 'ending'; readonly how: 'complete' | 'fail' | 'release'; readonly retainMs?: number })
  /** How the ending went: without `error` the server has confirmed it. */
  | (OfCall & { readonly type: 'ended'; readonly error?: string })
  /** The call is over. `done` carries the token of the run whose value it was given. */
  | (OfCall & {
      readonly type: 'result'
      readonly result: CallResult
      readonly token?: number
      readonly retryAfterMs?: number | undefined
      readonly error?: string
    })
  /** The client's session number `count` was opened. */
  | { readonly type: 'session'; readonly at: number; readonly client: string; readonly count: number }
  /** Something that must never happen: an untyped error, an unhandled rejection, a process that ended by itself. */
  | { readonly type: 'crash'; readonly at: number; readonly client: string; readonly error: string }
  | { readonly type: 'fault'; readonly at: number; readonly fault: FaultKind; readonly target: string }
  /** The process's calls may stay open from here on. */
  | { readonly type: 'killed'; readonly at: number; readonly process: string }
  /** What the server knew soon after it was started again. Asked at `at`, answered at `answeredAt`. */
  | {
      readonly type: 'restarted'
      readonly at: number
      readonly answeredAt: number
      readonly records: readonly LockRecord[]
    }

export type CallResult = 'held' | 'ran' | 'done' | 'busy' | 'failed' | 'timeout' | 'unavailable' | 'lost' | 'cancelled'

export const FAULT_KINDS = ['server-kill', 'server-term', 'server-stop', 'client-kill', 'client-stop'] as const
export type FaultKind = (typeof FAULT_KINDS)[number]

/** The machine's monotonic clock in microseconds. */
export function nowMicros(): number {
  return Number(process.hrtime.bigint() / 1_000n)
}

/** The process of a client or of a call: `p3` of `p3.1` and of `p3.1#17`. */
export function processOf(name: string): string {
  return name.slice(0, name.indexOf('.'))
}
