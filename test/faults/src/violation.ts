import type { CallHistory } from './history.ts'

/** A rule of the lock service that a history breaks. */
export interface Violation {
  readonly rule: Rule
  readonly message: string
  /** The key whose history shows it. */
  readonly key?: string | undefined
}

export type Rule =
  | 'mutual exclusion'
  | 'fenced writes'
  | 'token order'
  | 'every call ends'
  | 'queue order'
  | 'once'
  | 'durability'
  | 'sessions'
  | 'nobody waits for ever'
  | 'no crash'

/** A call in few words, for messages. */
export function describeCall({ call, granted }: CallHistory): string {
  const token = granted === undefined ? '' : ` (token ${granted.token})`
  return `${call.call} ${call.operation} ${call.key}${token}`
}
