import { LockError } from '@layerlock/client'

/** How long, after it gave no answer, the lock server is not asked again, in milliseconds. */
const PAUSE_MS = 5_000

/** Whether an error means that the lock server is away: others concern one call, or what somebody else did. */
export function isAway(error: unknown): boolean {
  return error instanceof LockError && error.retryable
}

/** Whether the lock server is away, so that not each pull in turn waits for it, and how many pulls had to go without. */
export class Degradation {
  #openUntilMs = 0
  #active = false
  #pulls = 0

  /** Whether it should not be asked now. */
  isOpen(): boolean {
    return performance.now() < this.#openUntilMs
  }

  /** Whether it gave no answer when it was asked last. */
  get active(): boolean {
    return this.#active
  }

  /** Pulls that went on without the lock server. */
  get pulls(): number {
    return this.#pulls
  }

  countPull(): void {
    this.#pulls++
  }

  failed(): void {
    this.#active = true
    this.#openUntilMs = performance.now() + PAUSE_MS
  }

  recovered(): void {
    this.#active = false
    this.#openUntilMs = 0
  }
}
