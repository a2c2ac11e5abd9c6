/** Error codes of the OCI distribution-spec 1.1 that a pull can meet, and `UNKNOWN` for what it has no code for. */
const STATUS_OF_CODE = {
  BLOB_UNKNOWN: 404,
  DIGEST_INVALID: 400,
  MANIFEST_INVALID: 400,
  MANIFEST_UNKNOWN: 404,
  NAME_INVALID: 400,
  NAME_UNKNOWN: 404,
  SIZE_INVALID: 400,
  UNAUTHORIZED: 401,
  DENIED: 403,
  UNSUPPORTED: 405,
  TOOMANYREQUESTS: 429,
  UNKNOWN: 502,
} as const

export type OciErrorCode = keyof typeof STATUS_OF_CODE

export interface OciErrorOptions extends ErrorOptions {
  /** When to try again, in milliseconds. */
  readonly retryAfterMs?: number | undefined
  /** What the client should answer with its credentials (`WWW-Authenticate`), with `UNAUTHORIZED`. */
  readonly challenge?: string | undefined
  /** Whether asking again soon cannot help. Default: as the code says. */
  readonly permanent?: boolean | undefined
}

/** An error that goes out to the client in the envelope of the distribution-spec ("Error Codes"). */
export class OciError extends Error {
  override readonly name = 'OciError'
  readonly code: OciErrorCode
  readonly retryAfterMs: number | undefined
  readonly challenge: string | undefined
  /** Whether asking again soon, or by another node with the same credentials, cannot help. */
  readonly permanent: boolean

  constructor(
    code: OciErrorCode,
    message: string,
    { retryAfterMs, challenge, permanent, ...options }: OciErrorOptions = {},
  ) {
    super(message, options)
    this.code = code
    this.retryAfterMs = retryAfterMs
    this.challenge = challenge
    this.permanent = permanent ?? (code !== 'UNKNOWN' && code !== 'TOOMANYREQUESTS')
  }

  get status(): number {
    return STATUS_OF_CODE[this.code]
  }

  /** The body of the answer. */
  toJSON(): { errors: { code: string; message: string }[] } {
    return { errors: [{ code: this.code, message: this.message }] }
  }
}

/** A code that came over the wire, from an upstream or another node; what is not known becomes `UNKNOWN`. */
export function parseOciErrorCode(code: string): OciErrorCode {
  return Object.hasOwn(STATUS_OF_CODE, code) ? (code as OciErrorCode) : 'UNKNOWN'
}
