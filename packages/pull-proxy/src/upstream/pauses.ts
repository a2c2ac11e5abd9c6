import type { Visitor } from '../access/visitor.ts'
import { OciError } from '../oci/oci-error.ts'
import { pause } from '../pause.ts'

/** The longest that one request, or one flight with all its tries, sits out pauses, in milliseconds. */
const MAX_SILENT_PAUSE_MS = 5_000
/** The pause after a 429 that names none, in milliseconds: Docker Hub's limit on abuse is such a one. */
const DEFAULT_PAUSE_MS = 2_000
/** How long after its end a pause is remembered, in milliseconds: limited again within it, upstream is left alone longer. */
const MEMORY_MS = 10_000
/** How long a pause becomes of itself, in milliseconds, where upstream asks for none that is longer. */
const MAX_DOUBLED_MS = 60_000
/** Requests that have sat out a pause go on within so many milliseconds, so that the first can tell the others of the next. */
const MAX_JITTER_MS = 1_000

/** A pause that an upstream has asked for. */
export interface Pause {
  /** In milliseconds. */
  readonly retryAfterMs: number
  /** What upstream said. */
  readonly message: string
}

/** What upstream said of a pause; some do not say how long it is, or that it is none. */
export interface AskedPause {
  readonly retryAfterMs?: number | undefined
  readonly message: string
}

/** A pause that somebody in the cluster was told of, which may be over. */
export interface ToldPause extends Pause {
  /** How long ago it began, in milliseconds. */
  readonly ageMs: number
}

/** How the nodes tell each other of pauses. Neither rejects. */
export interface SharedPauses {
  /** Keeps a pause for `retainMs`, unless one is known that ends later. */
  tell(pause: Pause, retainMs: number): Promise<void>
  ask(): Promise<ToldPause | undefined>
}

/** How much longer somebody can wait in silence, in milliseconds, over all tries. */
export class Patience {
  #leftMs: number

  constructor(ms = MAX_SILENT_PAUSE_MS) {
    this.#leftMs = ms
  }

  get leftMs(): number {
    return this.#leftMs
  }

  spend(ms: number): void {
    this.#leftMs = Math.max(0, this.#leftMs - ms)
  }
}

/** Times as `performance.now()`. */
interface Known {
  readonly lengthMs: number
  readonly untilMs: number
  readonly message: string
}

/**
 * The pauses that one upstream has asked for (429). Those of the proxy's own credentials are everybody's, in the whole
 * cluster. Clients with credentials of their own (`passthrough`), or with none, have pauses of their own, on this node:
 * nobody can make others wait.
 *
 * Where upstream goes on limiting after a pause without saying for how long, the next one is twice as long.
 */
export class Pauses {
  readonly #shared: SharedPauses
  #everybodys: Known | undefined
  readonly #visitors = new Map<string, Known>()

  constructor(shared: SharedPauses) {
    this.#shared = shared
  }

  isOn(visitor: Visitor | undefined): boolean {
    return (this.#lastOf(visitor)?.untilMs ?? 0) > performance.now()
  }

  /** Learns of a pause that another node was told of. Never rejects. */
  async learn(): Promise<void> {
    const told = await this.#shared.ask()
    if (told === undefined) return
    const { retryAfterMs, ageMs, message } = told
    const untilMs = performance.now() + retryAfterMs - ageMs
    this.#everybodys = later(this.#everybodys, { lengthMs: retryAfterMs, untilMs, message })
  }

  /**
   * Waits until the pause is over.
   *
   * @throws {OciError} `TOOMANYREQUESTS` with what is left of it, when that is more than there is patience for
   */
  async sitOut(visitor: Visitor | undefined, patience: Patience, signal: AbortSignal): Promise<void> {
    for (;;) {
      const last = this.#lastOf(visitor)
      const leftMs = (last?.untilMs ?? 0) - performance.now()
      if (last === undefined || leftMs <= 0) return
      if (leftMs > patience.leftMs) {
        throw new OciError('TOOMANYREQUESTS', last.message, { retryAfterMs: Math.ceil(leftMs) })
      }
      patience.spend(leftMs)
      await pause(leftMs + Math.random() * Math.min(MAX_JITTER_MS, last.lengthMs / 2), signal)
    }
  }

  /**
   * Upstream has answered a request that it wants no more for a while.
   *
   * @param sentAtMs when that request was sent, as `performance.now()`
   * @returns the pause that is kept
   */
  limited(visitor: Visitor | undefined, { retryAfterMs = 0, message }: AskedPause, sentAtMs: number): Pause {
    const last = this.#lastOf(visitor)
    const askedMs = retryAfterMs > 0 ? retryAfterMs : DEFAULT_PAUSE_MS
    // Requests that were on their way together are answered alike, and that says nothing new.
    const isAgain = last !== undefined && sentAtMs >= last.untilMs
    const isDoubled = isAgain && retryAfterMs <= 0
    const lengthMs = isDoubled ? Math.max(askedMs, Math.min(2 * last.lengthMs, MAX_DOUBLED_MS)) : askedMs
    const known = { lengthMs, untilMs: performance.now() + lengthMs, message }
    const paused = { retryAfterMs: lengthMs, message }
    if (visitor !== undefined) {
      this.#visitors.set(visitor.id, later(this.#visitors.get(visitor.id), known))
      return paused
    }
    this.#everybodys = later(this.#everybodys, known)
    void this.#shared.tell(paused, lengthMs + MEMORY_MS)
    return paused
  }

  /** Upstream has answered a request that was sent at this time, so a pause that was over by then is history. */
  succeeded(visitor: Visitor | undefined, sentAtMs: number): void {
    if (this.#everybodys !== undefined && sentAtMs >= this.#everybodys.untilMs) this.#everybodys = undefined
    const own = visitor === undefined ? undefined : this.#visitors.get(visitor.id)
    if (visitor !== undefined && own !== undefined && sentAtMs >= own.untilMs) this.#visitors.delete(visitor.id)
  }

  /** The pause that ends last, or has. */
  #lastOf(visitor: Visitor | undefined): Known | undefined {
    const nowMs = performance.now()
    for (const [id, { untilMs }] of this.#visitors) if (untilMs + MEMORY_MS < nowMs) this.#visitors.delete(id)
    if (this.#everybodys !== undefined && this.#everybodys.untilMs + MEMORY_MS < nowMs) this.#everybodys = undefined
    const own = visitor === undefined ? undefined : this.#visitors.get(visitor.id)
    return own === undefined ? this.#everybodys : later(this.#everybodys, own)
  }
}

/** The one that ends later; slow answers to earlier requests do not make it shorter. */
function later(one: Known | undefined, other: Known): Known {
  if (one === undefined) return other
  const lengthMs = Math.max(one.lengthMs, other.lengthMs)
  return { ...(one.untilMs > other.untilMs ? one : other), lengthMs }
}
