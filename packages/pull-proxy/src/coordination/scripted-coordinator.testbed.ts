import { setTimeout as sleep } from 'node:timers/promises'
import { NO_PLACE, type Place } from '../upstream/request-gate.ts'
import type { Claim, ClaimAnswer, Coordinator, CoordinationStatus, Shared, SharedWork } from './coordinator.ts'

/** A coordinator that answers what a test tells it to, and keeps what it was told. */
export class ScriptedCoordinator implements Coordinator {
  /** What claims were asked and told, in order. */
  readonly events: string[] = []
  /** How often `next` was asked. */
  nexts = 0
  /** What `next` answers at once, however often it is asked, when nothing else was said. */
  standing: ClaimAnswer | undefined
  readonly #asks: ClaimAnswer[]
  readonly #turns: (ClaimAnswer | Error)[] = []
  #turnCame = Promise.withResolvers<void>()

  /** @param asks the answers to `ask`, one after the other */
  constructor(...asks: ClaimAnswer[]) {
    this.#asks = asks
  }

  /** An answer that lets a node lead. Once it is given, more answers may be added. */
  readonly lead: ClaimAnswer = {
    kind: 'lead',
    lead: {
      completed: () => this.#note('completed'),
      failed: ({ code, message }) => this.#note(`failed ${code} ${message}`),
      released: () => this.#note('released'),
    },
  }

  /** Adds an answer to `ask`. */
  willAnswer(...asks: ClaimAnswer[]): this {
    this.#asks.push(...asks)
    return this
  }

  /** Answers the `next` that waits, or the next one to come. */
  sayNext(turn: ClaimAnswer | Error): void {
    this.#turns.push(turn)
    this.#turnCame.resolve()
    this.#turnCame = Promise.withResolvers()
  }

  claim(): Claim {
    return {
      ask: async (signal) => {
        signal.throwIfAborted()
        await this.#note('ask')
        const answer = this.#asks.shift()
        if (answer === undefined) throw new Error('the script has no more answers')
        return answer
      },
      next: (signal) => this.#next(signal),
      insist: () => void this.#note('insist'),
      forget: (outcome) => this.#note(`forget ${outcome}`),
      arrived: () => this.#note('arrived'),
      [Symbol.asyncDispose]: () => this.#note('disposed'),
    }
  }

  async share<T>(_key: string, work: SharedWork<T>): Promise<Shared<T>> {
    return { value: await work(true), ageMs: 0 }
  }

  publish(): Promise<void> {
    return Promise.resolve()
  }

  lookUp(): Promise<Shared<unknown> | undefined> {
    return Promise.resolve(undefined)
  }

  takePlace(): Promise<Place> {
    return Promise.resolve(NO_PLACE)
  }

  withdraw(): Promise<void> {
    return Promise.resolve()
  }

  status(): CoordinationStatus {
    return { degraded: false, degradedPulls: 0 }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve()
  }

  async #next(signal: AbortSignal): Promise<ClaimAnswer> {
    this.nexts++
    const aborted = Promise.withResolvers<never>()
    aborted.promise.catch(() => undefined)
    signal.addEventListener('abort', () => aborted.reject(signal.reason), { once: true })
    while (this.#turns.length === 0) {
      signal.throwIfAborted()
      if (this.standing !== undefined) {
        // As long as an answer takes at the very least, so that who asks without end does not stop everything.
        await sleep(1)
        return this.standing
      }
      await Promise.race([this.#turnCame.promise, aborted.promise])
    }
    const turn = this.#turns.shift()!
    if (turn instanceof Error) throw turn
    return turn
  }

  #note(event: string): Promise<void> {
    this.events.push(event)
    return Promise.resolve()
  }
}
