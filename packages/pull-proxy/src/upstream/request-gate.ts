import type { Readable } from 'node:stream'
import pLimit, { type LimitFunction } from 'p-limit'
import { OciError } from '../oci/oci-error.ts'
import { pause } from '../pause.ts'

/** The longest pause that requests sit out, in milliseconds; of a longer one their clients are told. */
export const MAX_SILENT_PAUSE_MS = 5_000
/** The pause after a 429 that names none, in milliseconds: Docker Hub's limit on abuse is such a one. */
export const DEFAULT_PAUSE_MS = 2_000

/** A pause that an upstream has asked for. */
export interface Pause {
  /** What is left of it, in milliseconds. */
  readonly retryAfterMs: number
  /** What upstream said. */
  readonly message: string
}

/** One of the cluster's places for requests to an upstream. Its methods never reject. */
export interface Place {
  /** Upstream wants no more requests for a while: from now on nobody in the cluster gets a place. */
  limited(pause: Pause): Promise<void>
  leave(): Promise<void>
}

/** Gives out the cluster's places, or tells why there are none now. Rejects with the signal's reason only. */
export type TakePlace = (visitorId: string | undefined, signal: AbortSignal) => Promise<Place | Pause>

export interface RequestGateOptions {
  /** What the upstream is called in errors. */
  readonly upstream: string
  /** The most requests of this node at a time. */
  readonly concurrency: number
  readonly takePlace: TakePlace
}

/** The right to send one request, kept until its answer is over. */
export interface Passage {
  /** Upstream answered that it wants no more for a while. */
  limited(pause: Pause): void
  leave(): void
  /** Leaves when the body is over. */
  leaveAfter(body: Readable): void
}

/**
 * What all requests to an upstream go through: no more than `concurrency` of this node at a time, no more of the cluster
 * than it has places, and none while upstream wants none (429). Where the lock server is away, what this node was told
 * itself still holds.
 */
export class RequestGate {
  readonly #options: RequestGateOptions
  readonly #limit: LimitFunction
  /** Pauses by visitor: with credentials of their own, one's limit is not another's. */
  readonly #pauses = new Map<string | undefined, { readonly untilMs: number; readonly message: string }>()

  constructor(options: RequestGateOptions) {
    this.#options = options
    this.#limit = pLimit(options.concurrency)
  }

  /**
   * Waits for its turn.
   *
   * @throws {OciError} `TOOMANYREQUESTS` while upstream wants no requests for longer than anyone can wait
   */
  async enter(visitorId: string | undefined, signal: AbortSignal): Promise<Passage> {
    const free = await this.#slot(signal)
    try {
      for (;;) {
        await this.#sitOut(visitorId, signal)
        const taken = await this.#options.takePlace(visitorId, signal)
        if (isPlace(taken)) return this.#passage(visitorId, taken, free)
        this.#note(visitorId, taken)
      }
    } catch (error) {
      free()
      throw error
    }
  }

  #passage(visitorId: string | undefined, place: Place, free: () => void): Passage {
    let left = false
    const leave = (how: () => Promise<void>) => {
      if (left) return
      left = true
      free()
      void how()
    }
    const passage: Passage = {
      limited: (wanted) => {
        this.#note(visitorId, wanted)
        leave(() => place.limited(wanted))
      },
      leave: () => leave(() => place.leave()),
      leaveAfter: (body) => {
        if (body.closed || body.destroyed) passage.leave()
        else body.once('close', () => passage.leave())
      },
    }
    return passage
  }

  /** One of this node's slots; what it resolves with frees it. */
  async #slot(signal: AbortSignal): Promise<() => void> {
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
      void this.#limit(() => {
        begin()
        return over
      })
      await begun
      return free
    } finally {
      signal.removeEventListener('abort', aborted)
    }
  }

  #note(visitorId: string | undefined, { retryAfterMs, message }: Pause): void {
    const untilMs = performance.now() + retryAfterMs
    for (const [id, known] of this.#pauses) if (known.untilMs <= performance.now()) this.#pauses.delete(id)
    if (untilMs > (this.#pauses.get(visitorId)?.untilMs ?? 0)) this.#pauses.set(visitorId, { untilMs, message })
  }

  async #sitOut(visitorId: string | undefined, signal: AbortSignal): Promise<void> {
    for (;;) {
      const { untilMs = 0, message = '' } = this.#pauses.get(visitorId) ?? {}
      const leftMs = untilMs - performance.now()
      if (leftMs <= 0) return
      if (leftMs > MAX_SILENT_PAUSE_MS) {
        throw new OciError('TOOMANYREQUESTS', message, { retryAfterMs: Math.ceil(leftMs) })
      }
      await pause(leftMs, signal)
    }
  }
}

function isPlace(taken: Place | Pause): taken is Place {
  return 'leave' in taken
}
