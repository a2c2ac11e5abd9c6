import { Type, type Static } from 'typebox'

/** What a code means: its HTTP status, whether the same call may succeed later, and what to do. */
export interface ErrorDescription {
  readonly status: number
  readonly retryable: boolean
  readonly meaning: string
}

/**
 * Every error code of the lock server. `docs/errors.md` holds the same table for readers; a test keeps both alike.
 */
export const ERROR_CODES = {
  invalid_request: { status: 400, retryable: false, meaning: 'A field of the request is missing or not allowed.' },
  unauthorized: { status: 401, retryable: false, meaning: 'The bearer token is missing or unknown.' },
  forbidden: { status: 403, retryable: false, meaning: 'The token or the session may not do this.' },
  not_found: { status: 404, retryable: false, meaning: 'There is no such method and path.' },
  lease_lost: { status: 409, retryable: false, meaning: 'The fencing token or ticket holds this key no longer.' },
  limit_mismatch: { status: 409, retryable: false, meaning: 'The key is in use with another limit.' },
  in_use: { status: 409, retryable: false, meaning: 'Other sessions have copies of what is behind the key.' },
  session_expired: { status: 410, retryable: false, meaning: 'The session has ended; open a new one.' },
  too_large: { status: 413, retryable: false, meaning: 'The key, the value or the whole request is too large.' },
  queue_full: { status: 429, retryable: true, meaning: 'Too many tickets wait for this key.' },
  overloaded: { status: 503, retryable: true, meaning: 'The server cannot take this now; see Retry-After.' },
} as const satisfies Record<string, ErrorDescription>

/** A code of {@link ERROR_CODES}. */
export type ErrorCode = keyof typeof ERROR_CODES

/** Whether a string, such as one read from an answer, is one of the known codes. */
export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(ERROR_CODES, value)
}

/** The body of every refusal of version 1. */
export const ErrorBody = Type.Object({
  error: Type.Object({
    code: Type.String({ description: 'A stable code; see docs/errors.md.' }),
    message: Type.String({ description: 'What was wrong with which field, and what to do.' }),
  }),
})
export type ErrorBody = Static<typeof ErrorBody>

/** An expected refusal: thrown by the server's rules, turned into an {@link ErrorBody} by its HTTP face. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError'
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }

  /** The HTTP status that goes with the code. */
  get status(): number {
    return ERROR_CODES[this.code].status
  }
}
