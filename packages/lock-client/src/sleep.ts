export interface SleepOptions {
  readonly signal?: AbortSignal | undefined
  /** Whether the process may end meanwhile: for what nobody waits for. Default false. */
  readonly background?: boolean
}

/** Waits, or rejects with the signal's reason. */
export function sleep(ms: number, { signal, background = false }: SleepOptions = {}): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(asError(signal.reason))
      return
    }
    const done = () => {
      signal?.removeEventListener('abort', aborted)
      resolve()
    }
    const aborted = () => {
      clearTimeout(timer)
      reject(asError(signal?.reason))
    }
    const timer = setTimeout(done, ms)
    if (background) timer.unref()
    signal?.addEventListener('abort', aborted, { once: true })
  })
}

/** What a signal was aborted with, as something that can be thrown. */
export function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new DOMException(String(reason), 'AbortError')
}
