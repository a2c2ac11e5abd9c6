import type { Readable } from 'node:stream'
import pLimit, { type LimitFunction } from 'p-limit'
import type { Visitor } from '../access/visitor.ts'
import { type AskedPause, Patience, type Pause, Pauses, type SharedPauses } from './pauses.ts'

/** One of the cluster's places for bodies of an upstream. */
export interface Place {
  /** Whether others had to leave before. */
  readonly waited: boolean
  /** Never rejects. */
  leave(): Promise<void>
}

/** For nodes that have nobody to share the places with. */
export const NO_PLACE: Place = { waited: false, leave: () => Promise.resolve() }

export interface RequestGateOptions {
  /** The most bodies of this node at a time, and as many other requests. */
  readonly concurrency: number
  /** Gives out the cluster's places for bodies. Rejects with the signal's reason only. */
  readonly takePlace: (signal: AbortSignal) => Promise<Place>
  readonly pauses: SharedPauses
}

/** Bodies of blobs take long, and what is small must not wait for them. */
export type Lane = 'bodies' | 'answers'

export interface Entry {
  /** Default `answers`. */
  readonly lane?: Lane | undefined
  readonly visitor?: Visitor | undefined
  /** How long pauses may be sat out. Default: as long as for one request. */
  readonly patience?: Patience | undefined
  readonly signal: AbortSignal
}

/** The right to send one request, kept until its answer is over. */
export interface Passage {
  /** Upstream answered that it wants no more for a while. Leaves, and gives back how long nobody will ask. */
  limited(asked: AskedPause): Pause
  /** Upstream has answered as it should. Leaves, unless a body is still to come. */
  succeeded(): void
  leave(): void
  /** Leaves when the body is over, and not before. */
  leaveAfter(body: Readable): void
}

/**
 * What all requests to an upstream go through: no more than `concurrency` of this node at a time in each lane, no more
 * bodies of the cluster than it has places, and none while upstream wants none. Where the lock server is away, what this
 * node was told itself still holds.
 */
export class RequestGate {
  readonly #options: RequestGateOptions
  readonly #lanes: Readonly<Record<Lane, LimitFunction>>
  readonly #pauses: Pauses

  constructor(options: RequestGateOptions) {
    this.#options = options
    this.#lanes = { bodies: pLimit(options.concurrency), answers: pLimit(options.concurrency) }
    this.#pauses = new Pauses(options.pauses)
  }

  /**
   * Waits for its turn. A pause is sat out without a slot, for others may have none.
   *
   * @throws {OciError} `TOOMANYREQUESTS` while upstream wants no requests for longer than there is patience for
   */
  async enter({ lane = 'answers', visitor, patience = new Patience(), signal }: Entry): Promise<Passage> {
    for (;;) {
      await this.#pauses.sitOut(visitor, patience, signal)
      const free = await this.#slot(lane, signal)
      let place = NO_PLACE
      try {
        if (lane === 'bodies') [place] = await Promise.all([this.#options.takePlace(signal), this.#pauses.learn()])
        else await this.#pauses.learn()
        // Upstream may have asked for one while others were in front.
        if (place.waited) await this.#pauses.learn()
        signal.throwIfAborted()
      } catch (error) {
        void place.leave()
        free()
        throw error
      }
      if (!this.#pauses.isOn(visitor)) return this.#passage(visitor, place, free)
      void place.leave()
      free()
    }
  }

  #passage(visitor: Visitor | undefined, place: Place, free: () => void): Passage {
    const sentAtMs = performance.now()
    let left = false
    let isKept = false
    const leave = () => {
      if (left) return
      left = true
      free()
      void place.leave()
    }
    return {
      limited: (asked) => {
        leave()
        return this.#pauses.limited(visitor, asked, sentAtMs)
      },
      succeeded: () => {
        this.#pauses.succeeded(visitor, sentAtMs)
        if (!isKept) leave()
      },
      leave,
      leaveAfter: (body) => {
        isKept = true
        if (body.closed || body.destroyed) leave()
        else body.once('close', leave)
      },
    }
  }

  /** One of this node's slots; what it resolves with frees it. */
  async #slot(lane: Lane, signal: AbortSignal): Promise<() => void> {
    const { promise: over, resolve: free } = Promise.withResolvers<void>()
    const { promise: begun, resolve: begin, reject } = Promise.withResolvers<void>()
    const aborted = () => {
      // Should its turn come later, it is over at once.
      free()
      reject(signal.reason as Error)
    }
    signal.throwIfAborted()
    signal.addEventListener('abort', aborted, { once: true })
    try {
      void this.#lanes[lane](() => {
        begin()
        return over
      })
      await begun
      return free
    } finally {
      signal.removeEventListener('abort', aborted)
    }
  }
}
