import { Agent, fetch as undiciFetch } from 'undici'

const BUSY = { error: { code: 'overloaded', message: 'TestLockServer.failNext: this call fails' } }

/** A `fetch` whose connections can be cut. It is undici's, so nothing that intercepts the global one interferes. */
export class CuttableFetch implements AsyncDisposable {
  readonly #agent = new Agent({ headersTimeout: 0, bodyTimeout: 0 })
  #cutting: AbortController | undefined = new AbortController()
  #failing = 0

  readonly fetch: typeof globalThis.fetch = async (input, init = {}) => {
    const cutting = this.#cutting
    if (cutting === undefined) throw new TypeError('fetch failed: the TestLockServer is away')
    if (this.#failing > 0) {
      this.#failing--
      return Response.json(BUSY, { status: 503, headers: { 'retry-after': '0' } })
    }
    const signals = [cutting.signal, ...(init?.signal == null ? [] : [init.signal])]
    // The same thing twice: Node has taken undici's types into its own, at another version.
    const options = { ...init, signal: AbortSignal.any(signals), dispatcher: this.#agent } as object
    const response: unknown = await undiciFetch(input as string, options)
    return response as Response
  }

  /** Breaks off all calls, and lets none through until {@link join}. */
  cut(): void {
    this.#cutting?.abort(new TypeError('fetch failed: the TestLockServer went away'))
    this.#cutting = undefined
  }

  join(): void {
    this.#cutting ??= new AbortController()
  }

  failNext(count: number): void {
    this.#failing = count
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy()
  }
}
