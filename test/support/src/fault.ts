import type { RequestKind } from './request-target.ts'

/**
 * What goes wrong with one answer. Counts and offsets are in bytes of that answer's body, so that a range starts at 0.
 *
 * - `status`: another answer instead.
 * - `cut`: a plain close (FIN), before the headers or after so many bytes.
 * - `reset`: a RST. What was sent before is given 50 ms to arrive, since a RST makes the other side drop what it has not
 *   read yet. Over TLS it is a plain close too.
 * - `hang`: silence on an open connection, until the client or the server closes.
 * - `delay`: silence for a while, and then the answer.
 * - `drip`: the whole answer, but only so many bytes at a time, with a silence after each.
 * - `corrupt`: one byte is another one.
 * - `longer`: more bytes than the blob has; `Content-Length` says so too unless `announced` is false, and is not there at
 *   all when `announced` is `chunked`.
 * - `shorter`: fewer bytes, and `Content-Length` says so.
 * - `ignoreRange`: 200 with the whole instead of 206.
 * - `noContentLength`: chunked transfer coding.
 */
export type Fault =
  | {
      readonly kind: 'status'
      readonly status: number
      readonly headers?: Readonly<Record<string, string>>
      readonly body?: string
    }
  | { readonly kind: 'cut'; readonly afterBytes?: number }
  | { readonly kind: 'reset'; readonly afterBytes?: number }
  | { readonly kind: 'hang'; readonly afterBytes?: number }
  | { readonly kind: 'delay'; readonly ms: number }
  | { readonly kind: 'drip'; readonly bytes: number; readonly everyMs: number }
  | { readonly kind: 'corrupt'; readonly offset: number }
  | { readonly kind: 'longer'; readonly bytes: number; readonly announced?: boolean | 'chunked' }
  | { readonly kind: 'shorter'; readonly bytes: number }
  | { readonly kind: 'ignoreRange' }
  | { readonly kind: 'noContentLength' }

/** The request that may be given a fault. */
export interface FaultRequest {
  readonly method: string
  readonly url: string
  readonly kind: RequestKind
  readonly repository: string | undefined
  /** A tag or a digest. */
  readonly reference: string | undefined
  /** The reference, when it is a digest. */
  readonly digest: string | undefined
  /** The `Range` header. */
  readonly range: string | undefined
  /** The `Authorization` header. */
  readonly authorization: string | undefined
  /** 1 for the first request with this method, kind and reference. */
  readonly nth: number
}

/** Decides for each request, before anything else is done with it, whether something goes wrong. */
export type FaultHook = (request: FaultRequest) => Fault | undefined
