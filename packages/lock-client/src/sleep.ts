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

/** What a promise resolves with, or the rejection with the signal's reason, whichever is first. */
export async function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const abort = () => reject(asError(signal.reason))
  if (signal.aborted) abort()
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

/** What a signal was aborted with, as something that can be thrown. */
function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new DOMException(String(reason), 'AbortError')
}
