import { STATUS_CODES } from 'node:http'
import { OciError, type OciErrorCode } from '../oci/oci-error.ts'
import { type ExchangeResponse, readAll } from './http-exchange.ts'
import { redact, type Shown } from './redact.ts'

/** As much of an error's body as is read. */
const MAX_ERROR_BYTES = 64 * 1024
const MAX_MESSAGE_LENGTH = 300
/** And as long as it may take, in milliseconds. */
const MAX_READING_MS = 5_000
/** Upstream makes no sense of what is asked for, and would not the next time. */
const SENSELESS: ReadonlySet<number> = new Set([400, 405, 406])
/** The longest wait that an upstream can impose, in seconds: a day. */
const MAX_RETRY_AFTER_S = 86_400

export interface RefusalContext {
  /** What the upstream is called. */
  readonly upstream: string
  /** What was asked for, below the repository. */
  readonly path: string
  /** The `Authorization` headers that were sent: they stay out of the message, whatever upstream says. */
  readonly authorizations: readonly string[]
  /** Whether another host refuses to which the registry had redirected. */
  readonly isStorage?: boolean | undefined
  /** Whether the client's own credentials were refused, so that it gets upstream's challenge. */
  readonly isRelayed?: boolean | undefined
}

/** Turns an upstream's refusal into an error of ours. Reads its body, capped, for the message. */
export async function errorOf(response: ExchangeResponse, context: RefusalContext): Promise<OciError> {
  const { upstream, path, authorizations, isStorage = false, isRelayed = false } = context
  const { status, headers, url } = response
  // It is for the message only, and whoever waits should not wait long for that.
  const late = setTimeout(() => response.body.destroy(), MAX_READING_MS)
  const body = await readAll(response, MAX_ERROR_BYTES).catch(() => Buffer.alloc(0))
  clearTimeout(late)
  // The answer to a `HEAD` has no body that could give a reason.
  const reason = messageOf(body, { authorizations, url })
  const message = reason ?? `${path.replace('/', ' ')}: ${STATUS_CODES[status] ?? 'no reason given'}`
  const askedMs = retryAfterMs(headers['retry-after'])
  // One sick part of a registry must not close the whole of it for long.
  const waitMs = isStorage || status === 503 ? capped(askedMs) : askedMs
  const code = isLimit(status, waitMs)
    ? 'TOOMANYREQUESTS'
    : isStorage
      ? storageCodeOf(status, path)
      : codeOf(status, path)
  const who = isStorage ? `${upstream}'s storage` : upstream
  return new OciError(code, `${who} answers ${status}: ${message}`, {
    retryAfterMs: waitMs,
    challenge: isRelayed && status === 401 && !isStorage ? headers['www-authenticate'] : undefined,
    permanent: !isStorage && SENSELESS.has(status) ? true : undefined,
  })
}

/** The longest pause for what may concern a part of the registry only, in milliseconds. */
const MAX_PARTIAL_MS = 60_000

function capped(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : Math.min(ms, MAX_PARTIAL_MS)
}

/** Upstream wants fewer requests, or none for a while. */
function isLimit(status: number, waitMs: number | undefined): boolean {
  return status === 429 || (status === 503 && waitMs !== undefined)
}

/** A signed URL that has expired says nothing about who may read: the registry gives out a new one. */
function storageCodeOf(status: number, path: string): OciErrorCode {
  return [404, 410, 451].includes(status) ? codeOf(status, path) : 'UNKNOWN'
}

function codeOf(status: number, path: string): OciErrorCode {
  if (status === 401) return 'UNAUTHORIZED'
  if (status === 403 || status === 451) return 'DENIED'
  if (status !== 404 && status !== 410) return 'UNKNOWN'
  if (path.startsWith('tags/')) return 'NAME_UNKNOWN'
  return path.startsWith('blobs/') ? 'BLOB_UNKNOWN' : 'MANIFEST_UNKNOWN'
}

function messageOf(body: Buffer, shown: Shown): string | undefined {
  try {
    const { errors } = JSON.parse(body.toString()) as { errors?: { code?: unknown; message?: unknown }[] }
    const first = errors?.[0]
    const text = [first?.code, first?.message].filter((part) => typeof part === 'string').join(': ')
    return text === '' ? undefined : redact(text, shown).slice(0, MAX_MESSAGE_LENGTH)
  } catch {
    return undefined
  }
}

/** `Retry-After` in seconds or as a date (RFC 9110, 10.2.3), as whole milliseconds: nothing else can be passed on. */
export function retryAfterMs(header: string | undefined): number | undefined {
  if (header === undefined) return undefined
  const seconds = /^\d+$/.test(header) ? Number(header) : (Date.parse(header) - Date.now()) / 1_000
  return Number.isNaN(seconds) ? undefined : Math.ceil(Math.min(Math.max(0, seconds), MAX_RETRY_AFTER_S) * 1_000)
}
