import { LockClient, LockError, LockFailedError } from '@layerlock/client'
import { type Entry, nowMicros } from './entry.ts'
import type { Violation } from './violation.ts'

/** When nobody works any more and every session of the dead is over, a key must be there within this time. */
const ACQUIRE_MS = 15_000

interface ProbedKey {
  readonly key: string
  readonly limit: number
}

/** A client of the conductor's own: at the end of a round it takes each key once. */
export class KeyProbe implements AsyncDisposable {
  readonly #locks: LockClient
  readonly #note: (entry: Entry) => void
  #calls = 0

  constructor(url: string, note: (entry: Entry) => void) {
    this.#locks = new LockClient({ url, node: 'probe.0', sessionTtlMs: 120_000 })
    this.#note = note
  }

  async check(keys: readonly ProbedKey[]): Promise<Violation[]> {
    const distinct = new Map(keys.map(({ key, limit }) => [key, limit]))
    const violations = await Promise.all([...distinct].map(([key, limit]) => this.#take({ key, limit })))
    return violations.flat()
  }

  async #take({ key, limit }: ProbedKey): Promise<Violation[]> {
    const call = `probe.0#${++this.#calls}`
    this.#note({ type: 'call', at: nowMicros(), call, client: 'probe.0', key, operation: 'acquire', limit })
    try {
      const lease = await this.#locks.acquire(key, { limit, timeoutMs: ACQUIRE_MS })
      this.#note({ type: 'granted', at: nowMicros(), call, token: lease.fencingToken })
      this.#note({ type: 'ending', at: nowMicros(), call, how: 'release' })
      await lease.release()
      this.#note({ type: 'result', at: nowMicros(), call, result: 'held' })
    } catch (error) {
      const result = error instanceof LockFailedError ? 'failed' : 'lost'
      this.#note({ type: 'result', at: nowMicros(), call, result, error: String(error) })
      // What has failed too often is refused for a while, which is an answer.
      if (!(error instanceof LockFailedError))
        return [{ rule: ruleOf(error), key, message: `${key}: ${String(error)}` }]
    }
    return []
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#locks.close()
  }
}

function ruleOf(error: unknown): Violation['rule'] {
  return error instanceof LockError ? 'nobody waits for ever' : 'no crash'
}
