import type { ErrorCode, WorkError } from '@layerlock/protocol'

/** Codes that only the client gives; the others come from the server, see `docs/errors.md`. */
export type ClientErrorCode = ErrorCode | 'timeout' | 'failed' | 'unavailable' | 'closed' | 'outcome_invalid'

export interface LockErrorOptions extends ErrorOptions {
  /** The key that the call was about. */
  readonly key?: string | undefined
  /** How long the server asks to stay away, in milliseconds. */
  readonly retryAfterMs?: number | undefined
}

/** The base of everything that this package throws on its own account. */
export class LockError extends Error {
  override readonly name: string = 'LockError'
  readonly code: ClientErrorCode
  readonly key: string | undefined
  readonly retryAfterMs: number | undefined

  constructor(code: ClientErrorCode, message: string, { key, retryAfterMs, ...options }: LockErrorOptions = {}) {
    super(message, options)
    this.code = code
    this.key = key
    this.retryAfterMs = retryAfterMs
  }

  /** Whether the same call may succeed later. */
  get retryable(): boolean {
    return this.code === 'unavailable' || this.code === 'overloaded' || this.code === 'queue_full'
  }
}

/** The lease is no longer ours: its session expired, its time was over, or it was ended before. */
export class LeaseLostError extends LockError {
  override readonly name = 'LeaseLostError'
  constructor(message: string, options?: LockErrorOptions) {
    super('lease_lost', message, options)
  }
}

/** The time that the caller gave the whole call is over. */
export class LockTimeoutError extends LockError {
  override readonly name = 'LockTimeoutError'
  constructor(message: string, options?: LockErrorOptions) {
    super('timeout', message, options)
  }
}

/** The work behind the key has failed for good, or too often in a row; it was not tried again. */
export class LockFailedError extends LockError {
  override readonly name = 'LockFailedError'
  /** What the last one who tried said. */
  readonly error: WorkError
  readonly attempts: number

  constructor(error: WorkError, attempts: number, options: LockErrorOptions) {
    super('failed', `the work on ${options.key ?? 'the key'} has failed (${attempts} times): ${error.message}`, options)
    this.error = error
    this.attempts = attempts
  }
}

/** No answer from the lock server, in spite of retries. */
export class LockServerUnavailableError extends LockError {
  override readonly name = 'LockServerUnavailableError'
  constructor(message: string, options?: LockErrorOptions) {
    super('unavailable', message, options)
  }
}

/** The session has ended at the server; the client opens another one by itself. */
export class SessionExpiredError extends LockError {
  override readonly name = 'SessionExpiredError'
  constructor(message: string, options?: LockErrorOptions) {
    super('session_expired', message, options)
  }
}

/** The client was closed. */
export class ClientClosedError extends LockError {
  override readonly name = 'ClientClosedError'
  constructor() {
    super('closed', 'this LockClient was closed')
  }
}

/** Two outcomes in a row did not pass the caller's `verify`. */
export class OutcomeInvalidError extends LockError {
  override readonly name = 'OutcomeInvalidError'
  /** The fencing token of the second one, which was left as it is. */
  readonly fencingToken: number

  constructor(fencingToken: number, options: LockErrorOptions) {
    super('outcome_invalid', `the outcome of ${options.key ?? 'the key'} is invalid, and so is the one before`, options)
    this.fencingToken = fencingToken
  }
}
