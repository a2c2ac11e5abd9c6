import type { Dispatcher } from 'undici'
import type { TransportResponse } from './transport.ts'

/** Longer than any answer of a lock server: one of more characters is not read to its end. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024

/** A try that took longer than it may. */
export class TryTimeoutError extends Error {
  override readonly name = 'TryTimeoutError'
}

/** One HTTP request and its whole answer, as undici tells of it: less work than its `request`, which makes streams. */
export class Exchange implements Dispatcher.DispatchHandler {
  readonly answer: Promise<TransportResponse>
  readonly #resolve: (answer: TransportResponse) => void
  readonly #reject: (error: unknown) => void
  readonly #signal: AbortSignal | undefined
  readonly #timer: NodeJS.Timeout | undefined
  #controller: Dispatcher.DispatchController | undefined
  #status = 0
  #retryAfter: string | undefined
  #chunks: Buffer[] = []
  #bytes = 0
  /** Set when the answer, or why there is none, has been told. */
  #over = false

  constructor(signal: AbortSignal | undefined, timeoutMs: number | undefined) {
    const { promise, resolve, reject } = Promise.withResolvers<TransportResponse>()
    this.answer = promise
    this.#resolve = resolve
    this.#reject = reject
    this.#signal = signal
    if (timeoutMs !== undefined) {
      const timeout = () => this.#abort(new TryTimeoutError(`no answer within ${timeoutMs} ms`))
      this.#timer = setTimeout(timeout, timeoutMs)
    }
    signal?.addEventListener('abort', this.#aborted, { once: true })
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#over) controller.abort(new Error('the call was aborted'))
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: IncomingHeaders): void {
    this.#status = status
    const retryAfter = headers['retry-after']
    this.#retryAfter = Array.isArray(retryAfter) ? retryAfter[0] : retryAfter
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes += chunk.length
    if (this.#bytes > MAX_ANSWER_BYTES)
      controller.abort(new Error(`the answer has more than ${MAX_ANSWER_BYTES} bytes`))
    else this.#chunks.push(chunk)
  }

  onResponseEnd(): void {
    if (!this.#finish()) return
    const text = (this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks)).toString()
    this.#resolve({ status: this.#status, retryAfter: this.#retryAfter, text })
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, error: Error): void {
    if (this.#finish()) this.#reject(error)
  }

  readonly #aborted = () => this.#abort(this.#signal?.reason)

  #abort(reason: unknown): void {
    if (!this.#finish()) return
    this.#reject(reason)
    this.#controller?.abort(new Error('the call was aborted', { cause: reason }))
  }

  #finish(): boolean {
    if (this.#over) return false
    this.#over = true
    clearTimeout(this.#timer)
    this.#signal?.removeEventListener('abort', this.#aborted)
    return true
  }
}

type IncomingHeaders = Readonly<Record<string, string | string[] | undefined>>
