import type { Claim, CoordinationStatus, Coordinator, Lead, ShareOptions } from './coordinator.ts'

const LEAD: Lead = {
  completed: () => Promise.resolve(),
  failed: () => Promise.resolve(),
  released: () => Promise.resolve(),
}

const CLAIM: Claim = {
  ask: () => Promise.resolve({ kind: 'lead', lead: LEAD }),
  next: () => Promise.resolve({ kind: 'lead', lead: LEAD }),
  insist: () => undefined,
  forget: () => Promise.resolve(),
  arrived: () => Promise.resolve(),
  [Symbol.asyncDispose]: () => Promise.resolve(),
}

/** For a proxy without a lock server: there is nobody to ask, and every flight is granted. */
export class SoloCoordinator implements Coordinator {
  /** Work that is done now, and results that are shared for a while. */
  readonly #shared = new Map<string, Promise<unknown>>()

  claim(): Claim {
    return CLAIM
  }

  share<T>(key: string, work: () => Promise<T>, { retainMs }: ShareOptions): Promise<T> {
    const known = this.#shared.get(key)
    if (known !== undefined) return known as Promise<T>
    const result = work()
    this.#shared.set(key, result)
    const forget = () => this.#shared.delete(key)
    result.then(() => setTimeout(forget, retainMs).unref(), forget)
    return result
  }

  withdraw(): Promise<void> {
    return Promise.resolve()
  }

  status(): CoordinationStatus {
    return { degradedPulls: 0, degraded: false }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve()
  }
}
