import type { Fault } from './fault.ts'
import type { RequestKind } from './request-target.ts'
import { waitFor } from './wait-for.ts'

/** One request that a server of this package has seen. Times are `performance.now()` of this process. */
export interface RequestRecord {
  readonly method: string
  readonly url: string
  readonly kind: RequestKind
  readonly repository: string | undefined
  /** A tag or a digest. */
  readonly reference: string | undefined
  /** The reference when it is a digest; for a tag, what the server resolved it to. */
  digest: string | undefined
  /** The `Range` header. */
  readonly range: string | undefined
  readonly userAgent: string | undefined
  /** Whether there was an `Authorization` header. */
  readonly authorization: boolean
  /** 1 for the first request with this method, kind and reference. */
  readonly nth: number
  readonly startedMs: number
  readonly fault: Fault | undefined
  /** Undefined while there was no answer. */
  status: number | undefined
  /** Bytes of the body that were written to the socket. */
  bytesSent: number
  /** Undefined while it is being answered. */
  endedMs: number | undefined
  /** Whether the whole answer was sent: false when a fault or the client ended it before. */
  completed: boolean
}

/** Which requests are meant; what is not named may be anything. */
export type RequestFilter = Partial<
  Pick<RequestRecord, 'method' | 'kind' | 'repository' | 'reference' | 'digest' | 'status' | 'completed'>
>

/** All requests that a server has seen, oldest first. */
export class RequestLog {
  readonly #records: RequestRecord[] = []
  /** Requests by method, kind and reference. */
  readonly #seen = new Map<string, number>()

  get all(): readonly RequestRecord[] {
    return this.#records
  }

  /** Requests that match every field of the filter. */
  matching(filter: RequestFilter = {}): RequestRecord[] {
    const wanted = Object.entries(filter) as [keyof RequestFilter, unknown][]
    return this.#records.filter((record) => wanted.every(([field, value]) => record[field] === value))
  }

  countOf(filter: RequestFilter = {}): number {
    return this.matching(filter).length
  }

  /** Bytes of bodies sent for a digest, over all requests; without one, of everything. */
  bytesOf(digest?: string): number {
    return this.matching(digest === undefined ? {} : { digest }).reduce((sum, { bytesSent }) => sum + bytesSent, 0)
  }

  /** Requests that are being answered now. */
  get open(): RequestRecord[] {
    return this.#records.filter(({ endedMs }) => endedMs === undefined)
  }

  /** Counts a request that begins: the `nth` of its record. */
  nth({ method, kind, reference }: Pick<RequestRecord, 'method' | 'kind' | 'reference'>): number {
    const key = `${method} ${kind} ${reference}`
    const nth = (this.#seen.get(key) ?? 0) + 1
    this.#seen.set(key, nth)
    return nth
  }

  add(record: RequestRecord): void {
    this.#records.push(record)
  }

  /** Resolves when no request is being answered: a client may have everything before it is counted here. */
  async settled(options: { timeoutMs?: number | undefined } = {}): Promise<void> {
    await waitFor(() => this.open.length === 0, { what: 'the last request to be answered', ...options })
  }

  /** Forgets everything and counts from 1 again; requests that are still being answered no longer count. */
  clear(): void {
    this.#records.length = 0
    this.#seen.clear()
  }
}
