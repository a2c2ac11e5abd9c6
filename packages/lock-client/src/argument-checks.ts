import { parseKey, ProtocolError } from '@layerlock/protocol'

/** The longest delay that a Node timer takes; a longer one would fire at once. */
export const MAX_DELAY_MS = 2 ** 31 - 1
/** The longest duration that the protocol allows: 365 days. */
export const MAX_DURATION_MS = 365 * 24 * 3600 * 1000
/** The most that may hold a key at a time. */
const MAX_LIMIT = 100_000

/** @throws {TypeError} naming the option, its value and what is allowed */
export function checkDuration(name: string, value: number | undefined, least: number, greatest: number): void {
  if (value === undefined || (value >= least && value <= greatest && (Number.isInteger(value) || value === Infinity))) {
    return
  }
  throw new TypeError(`${name}: expected ${least} to ${greatest} milliseconds, a whole number, got ${shown(value)}`)
}

/** @throws {TypeError} unless this is a key as the server takes it, and as a URL can hold it: `.` and `..` would be lost */
export function checkKey(key: string): void {
  if (typeof key !== 'string') throw new TypeError(`key: expected a string, got ${shown(key)}`)
  if (key === '.' || key === '..') throw new TypeError(`key: expected another one than "." and "..", got ${shown(key)}`)
  try {
    parseKey(key)
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    throw new TypeError(`${error.message}; expected 1 to 512 bytes of UTF-8 without control characters`, {
      cause: error,
    })
  }
}

/** @throws {TypeError} unless this is how many may hold a key at a time */
export function checkLimit(limit: number | undefined): void {
  if (limit === undefined || (Number.isInteger(limit) && limit >= 1 && limit <= MAX_LIMIT)) return
  throw new TypeError(`limit: expected a whole number from 1 to ${MAX_LIMIT}, got ${shown(limit)}`)
}

/** @throws {TypeError} unless events can be asked for with these */
export function checkPrefix(prefix: string, lastEventId: string | undefined): void {
  if (typeof prefix !== 'string' || prefix.length > 512) {
    throw new TypeError(`prefix: expected a string of up to 512 characters, got ${shown(prefix)}`)
  }
  if (lastEventId !== undefined && !/^[!-~]{1,128}$/.test(lastEventId)) {
    throw new TypeError(`lastEventId: expected the id of an event, got ${shown(lastEventId)}`)
  }
}

/** What a call that waits can be told; see the calls that take it. */
interface CallArguments {
  readonly timeoutMs?: number | undefined
  readonly limit?: number | undefined
  readonly maxHoldMs?: number | undefined
  readonly retainMs?: number | undefined
  readonly group?: string | undefined
}

/** @throws {TypeError} naming the option, its value and what is allowed */
export function checkCall(key: string, { timeoutMs, limit, maxHoldMs, retainMs, group }: CallArguments): void {
  checkKey(key)
  checkDuration('timeoutMs', timeoutMs, 0, Infinity)
  checkLimit(limit)
  checkDuration('maxHoldMs', maxHoldMs, 1, MAX_DURATION_MS)
  checkDuration('retainMs', retainMs, 0, MAX_DURATION_MS)
  if (group !== undefined && (typeof group !== 'string' || group.length === 0 || group.length > 512)) {
    throw new TypeError(`group: expected a string of 1 to 512 characters, got ${shown(group)}`)
  }
}

/** A value as it stands in a message: numbers as they are, strings quoted. */
function shown(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 600)) : String(value)
}
