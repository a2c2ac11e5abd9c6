import { randomUUID } from 'node:crypto'
import { type LiveNode, type OpenSession, ProtocolError, SESSION_TTL_MS } from '@layerlock/protocol'
import type { SessionFacts } from '../core/context.ts'
import type { SessionRef } from '../core/record.ts'
import type { LockStore, StoredSession } from '../store/lock-store.ts'
import type { Clock } from './clock.ts'
import { DEFAULT_SERVICE_LIMITS } from './service-limits.ts'

/**
 * How late a deadline's timer may fire before the silence counts as this server's own (it was stopped, or starved):
 * then the session gets its full TTL again, for its renewals may lie unread in our sockets.
 */
const OWN_SILENCE_MS = 500

interface LiveSession extends StoredSession {
  deadlineMs: number
  timer: Disposable | undefined
  /** Counts the renewals, so that the end of an older one's connection is told from that of the last one's. */
  renewals: number
}

/** The live sessions and their deadlines. */
export class SessionRegistry implements Disposable {
  readonly #store: LockStore
  readonly #clock: Clock
  readonly #maxSessions: number
  readonly #byId = new Map<string, LiveSession>()
  readonly #byRef = new Map<SessionRef, LiveSession>()
  readonly #endListeners = new Map<string, Set<() => void>>()
  #disposed = false
  #openedCount = 0
  #expiredCount = 0
  /** Told when a session has ended by itself, after it is gone from here. */
  onExpired: (session: StoredSession, reason: string) => void = () => undefined

  constructor(store: LockStore, clock: Clock, maxSessions = DEFAULT_SERVICE_LIMITS.maxSessions) {
    this.#maxSessions = maxSessions
    this.#store = store
    this.#clock = clock
  }

  /** Takes in the sessions of the server's life before. They live until {@link grace} lets their time begin. */
  async restore(): Promise<void> {
    for (const session of await this.#store.sessions()) this.#add(session)
  }

  /** Gives all sessions their full TTL from now (rule 8): until now nobody could have renewed one. */
  grace(): void {
    for (const session of this.#byId.values()) this.#arm(session, session.ttlMs)
  }

  /** Opens a session. With `predecessor` it takes over that one's copies, and the predecessor's id ends. */
  async open(request: OpenSession, predecessor: StoredSession | undefined): Promise<StoredSession> {
    if (predecessor === undefined && this.#byId.size >= this.#maxSessions) {
      throw new ProtocolError('overloaded', `${this.#byId.size} sessions are open already, no more are allowed`)
    }
    const session: StoredSession = {
      id: randomUUID(),
      ref: predecessor?.ref ?? (randomUUID() as SessionRef),
      node: request.node,
      endpoint: request.endpoint,
      ttlMs: request.ttlMs ?? SESSION_TTL_MS.default,
      disconnectGraceMs: request.disconnectGraceMs,
      labels: request.labels ?? {},
      openedMs: this.#clock.nowMs(),
    }
    // Taken before anything is awaited: of two that resume one session, only the first gets its ref.
    if (predecessor !== undefined) this.#retire(predecessor)
    try {
      // The old one first: a crash between the two may cost copies, but never leaves two sessions with one ref.
      if (predecessor !== undefined) await this.#store.deleteSession(predecessor.id)
      await this.#store.saveSession(session)
    } catch (error) {
      if (predecessor !== undefined) this.#arm(this.#add(predecessor), predecessor.ttlMs)
      throw error
    }
    this.#arm(this.#add(session), session.ttlMs)
    this.#openedCount++
    return session
  }

  /** The live session with this id. @throws {ProtocolError} `session_expired` */
  get(id: string): StoredSession {
    const session = this.#byId.get(id)
    if (session === undefined) {
      throw new ProtocolError('session_expired', 'Layerlock-Session: this session has ended; open a new one')
    }
    return session
  }

  find(id: string): StoredSession | undefined {
    return this.#byId.get(id)
  }

  facts(ref: SessionRef): SessionFacts | undefined {
    return this.#byRef.get(ref)
  }

  /** Puts a session's deadline to a full TTL from now. */
  renew(id: string): { readonly ttlMs: number; readonly renewal: number } {
    const session = this.get(id) as LiveSession
    this.#arm(session, session.ttlMs)
    return { ttlMs: session.ttlMs, renewal: ++session.renewals }
  }

  /**
   * The connection of this renewal has closed, so the session's process seems to have died: it ends after its grace,
   * unless it is renewed before, or has been since.
   */
  disconnected(id: string, renewal: number): void {
    const session = this.#byId.get(id)
    if (session?.disconnectGraceMs === undefined || session.renewals !== renewal) return
    const leftMs = session.deadlineMs - this.#clock.nowMs()
    if (session.disconnectGraceMs < leftMs) this.#arm(session, session.disconnectGraceMs)
  }

  /** Calls the listener when the session with this id ends, however it does. */
  onEnd(id: string, listener: () => void): Disposable {
    const listeners = this.#endListeners.get(id) ?? new Set()
    this.#endListeners.set(id, listeners.add(listener))
    return {
      [Symbol.dispose]: () => {
        listeners.delete(listener)
        if (listeners.size === 0 && this.#endListeners.get(id) === listeners) this.#endListeners.delete(id)
      },
    }
  }

  /** Takes a session out; from now on nothing can be granted to it. */
  async remove(session: StoredSession): Promise<void> {
    this.#retire(session)
    if (this.#byRef.get(session.ref)?.id === session.id) this.#byRef.delete(session.ref)
    await this.#store.deleteSession(session.id)
  }

  nodes(): LiveNode[] {
    const now = this.#clock.nowMs()
    return [...this.#byId.values()].map(({ node, endpoint, openedMs }) => ({
      node,
      ...(endpoint === undefined ? {} : { endpoint }),
      sinceMs: Math.max(0, Math.round(now - openedMs)),
    }))
  }

  /** How many have been opened since the start of this process. */
  get openedCount(): number {
    return this.#openedCount
  }

  /** How many have ended by themselves since then. */
  get expiredCount(): number {
    return this.#expiredCount
  }

  get size(): number {
    return this.#byId.size
  }

  #retire({ id }: StoredSession): void {
    this.#byId.get(id)?.timer?.[Symbol.dispose]()
    this.#byId.delete(id)
    for (const listener of this.#endListeners.get(id) ?? []) listener()
    this.#endListeners.delete(id)
  }

  #add(session: StoredSession): LiveSession {
    const live: LiveSession = { ...session, deadlineMs: Infinity, timer: undefined, renewals: 0 }
    this.#byId.set(live.id, live)
    this.#byRef.set(live.ref, live)
    return live
  }

  #arm(session: LiveSession, leftMs: number): void {
    session.timer?.[Symbol.dispose]()
    if (this.#disposed) return
    session.deadlineMs = this.#clock.nowMs() + leftMs
    session.timer = this.#clock.schedule(() => this.#expire(session, leftMs), leftMs)
  }

  #expire(session: LiveSession, leftMs: number): void {
    if (this.#byId.get(session.id) !== session) return
    const lateMs = this.#clock.nowMs() - session.deadlineMs
    if (lateMs < 0) {
      // Node's timers fire early by as much as the tick that set them took; the session has the whole of its time.
      session.timer = this.#clock.schedule(() => this.#expire(session, leftMs), -lateMs)
      return
    }
    if (lateMs > OWN_SILENCE_MS) {
      this.#arm(session, session.ttlMs)
      return
    }
    this.#expiredCount++
    const reason = leftMs < session.ttlMs ? 'the process has died' : 'session expired'
    void this.remove(session).catch(() => undefined)
    this.onExpired(session, reason)
  }

  [Symbol.dispose](): void {
    this.#disposed = true
    for (const session of this.#byId.values()) session.timer?.[Symbol.dispose]()
  }
}
