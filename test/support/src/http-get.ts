import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'

import { Agent, request } from 'undici'

import { RateLimit } from './rate-limit.ts'

/** How to download. */
export interface HttpGetOptions {
  /** Default GET. */
  readonly method?: 'GET' | 'HEAD' | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** The `Range` header, e.g. `bytes=100-`. */
  readonly range?: string | undefined
  /** Reads no faster than that. Default: as fast as it comes. */
  readonly bytesPerSecond?: number | undefined
  /** Hangs up after so many bytes of the body. */
  readonly abortAfterBytes?: number | undefined
  /** Gives the body back. Default false: it is only hashed and counted. */
  readonly keepBody?: boolean | undefined
  /** For the headers, and for each silence in the body. Default 60,000. */
  readonly timeoutMs?: number | undefined
  /** Accepts any certificate. Default false. */
  readonly insecure?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

/** What a download got. Times are from its start. */
export interface HttpGetResult {
  /** 0 when there was no answer. */
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** Of the bytes that came. */
  readonly digest: string
  readonly bytes: number
  /** Present with `keepBody`. */
  readonly body?: Buffer
  readonly headersMs: number | undefined
  readonly firstByteMs: number | undefined
  readonly endMs: number
  /** When it began, as `performance.now()`: comparable with the records of this package's servers. */
  readonly startedMs: number
  /** Why it ended early. Undefined too when `abortAfterBytes` ended it. */
  readonly error?: NodeJS.ErrnoException
}

/** Downloads over a connection of its own, follows no redirect and never throws: what goes wrong is in `error`. */
export async function httpGet(url: string, options: HttpGetOptions = {}): Promise<HttpGetResult> {
  const { method = 'GET', timeoutMs = 60_000, abortAfterBytes = Infinity, keepBody = false, signal } = options
  const agent = new Agent({
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
    connect: { timeout: timeoutMs, rejectUnauthorized: options.insecure !== true },
  })
  const rate = new RateLimit(options.bytesPerSecond)
  const hash = createHash('sha256')
  const kept: Buffer[] = []
  const startedMs = performance.now()
  const sinceStartMs = (): number => performance.now() - startedMs
  let status = 0
  let headers: IncomingHttpHeaders = {}
  let bytes = 0
  let headersMs: number | undefined
  let firstByteMs: number | undefined
  let failure: NodeJS.ErrnoException | undefined
  try {
    const response = await request(url, {
      dispatcher: agent,
      method,
      headers: { ...options.headers, ...(options.range === undefined ? {} : { range: options.range }) },
      signal: signal ?? null,
    })
    headersMs = sinceStartMs()
    status = response.statusCode
    headers = response.headers
    for await (const chunk of response.body as AsyncIterable<Buffer>) {
      firstByteMs ??= sinceStartMs()
      await rate.take(chunk.length, signal)
      hash.update(chunk)
      bytes += chunk.length
      if (keepBody) kept.push(chunk)
      if (bytes >= abortAfterBytes) break
    }
  } catch (error) {
    failure = error as NodeJS.ErrnoException
  }
  const endMs = sinceStartMs()
  await agent.destroy()
  return {
    status,
    headers,
    digest: `sha256:${hash.digest('hex')}`,
    bytes,
    ...(keepBody ? { body: Buffer.concat(kept) } : {}),
    headersMs,
    firstByteMs,
    endMs,
    startedMs,
    ...(failure === undefined ? {} : { error: failure }),
  }
}
