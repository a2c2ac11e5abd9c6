import { STATUS_CODES } from 'node:http'
import { OciError, type OciErrorCode } from '../oci/oci-error.ts'
import { type ExchangeResponse, readAll } from './http-exchange.ts'

/** As much of an error's body as is read. */
const MAX_ERROR_BYTES = 64 * 1024
const MAX_MESSAGE_LENGTH = 300
/** The longest wait that an upstream can impose, in seconds: a day. */
const MAX_RETRY_AFTER_S = 86_400

/** Turns an upstream's refusal into an error of ours. Reads its body, capped, for the message. */
export async function errorOf(response: ExchangeResponse, upstream: string, path: string): Promise<OciError> {
  const body = await readAll(response, MAX_ERROR_BYTES).catch(() => Buffer.alloc(0))
  // The answer to a `HEAD` has no body that could give a reason.
  const message = messageOf(body) ?? `${path.replace('/', ' ')}: ${STATUS_CODES[response.status] ?? 'no reason given'}`
  return new OciError(codeOf(response.status, path), `${upstream} answers ${response.status}: ${message}`, {
    retryAfterMs: retryAfterMs(response.headers['retry-after']),
  })
}

function codeOf(status: number, path: string): OciErrorCode {
  if (status === 401) return 'UNAUTHORIZED'
  if (status === 403) return 'DENIED'
  if (status === 404) return path.startsWith('blobs/') ? 'BLOB_UNKNOWN' : 'MANIFEST_UNKNOWN'
  if (status === 429) return 'TOOMANYREQUESTS'
  return 'UNKNOWN'
}

function messageOf(body: Buffer): string | undefined {
  try {
    const { errors } = JSON.parse(body.toString()) as { errors?: { code?: unknown; message?: unknown }[] }
    const first = errors?.[0]
    const text = [first?.code, first?.message].filter((part) => typeof part === 'string').join(': ')
    return text === '' ? undefined : text.slice(0, MAX_MESSAGE_LENGTH)
  } catch {
    return undefined
  }
}

/** `Retry-After` in seconds or as a date (RFC 9110, 10.2.3), as whole milliseconds: nothing else can be passed on. */
function retryAfterMs(header: string | undefined): number | undefined {
  if (header === undefined) return undefined
  const seconds = /^\d+$/.test(header) ? Number(header) : (Date.parse(header) - Date.now()) / 1_000
  return Number.isNaN(seconds) ? undefined : Math.ceil(Math.min(Math.max(0, seconds), MAX_RETRY_AFTER_S) * 1_000)
}
