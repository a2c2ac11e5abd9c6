import { type Key, ProtocolError } from '@layerlock/protocol'
import { isPublic } from '../core/outcome.ts'
import type { Ended, Hold, KeyRecord, SessionRef } from '../core/record.ts'
import type { Clock } from '../service/clock.ts'
import type { LockService } from '../service/lock-service.ts'
import type { LockStore } from '../store/lock-store.ts'
import { createWish, lockKey, referenceKey, typeOf, wishOf } from './legacy-keys.ts'
import { LegacyNodes } from './legacy-nodes.ts'
import type { LegacyResult, LegacyTopic, LegacyType, LegacyWish } from './legacy-wish.ts'
import { Turns } from './turns.ts'

/** How a lock server serves the earlier wire form. */
export interface LegacyApiOptions {
  /** How long a completed pull is told to everyone, in milliseconds. */
  readonly retainMs: number
  /** After this time a hold ends as failed, in milliseconds. */
  readonly holdMs: number
}

export interface LegacyOptions extends LegacyApiOptions {
  readonly service: LockService
  readonly store: LockStore
  readonly clock: Clock
}

/** What `POST /lock` is answered. `refused`: others reference the resource, so it cannot be deleted. */
export type LockAnswer =
  | { readonly status: 'acquired' | 'queued' | 'skip' }
  | { readonly status: 'refused' | 'failed'; readonly error: string }

export interface LegacyStatus {
  readonly acquired: boolean
  readonly completed: boolean
  readonly success: boolean
}

export const REFERENCED = 'the resource is referenced by other nodes, which have pulled it and not deleted it'

/** After so many failures in a row no more are written down: a record must not grow for as long as nothing works. */
const MAX_NOTED_FAILURES = 100
const MAX_ERROR_LENGTH = 4_096

/** The calls of the earlier wire form, on the records of the lock service. */
export class LegacyLocks implements Disposable {
  readonly nodes: LegacyNodes
  readonly #options: LegacyOptions
  /** Of one node on one key, so that a repeated request is never a second wish. */
  readonly #turns = new Turns()
  readonly #errors = new Map<number, string>()

  constructor(options: LegacyOptions) {
    this.#options = options
    this.nodes = new LegacyNodes(options)
  }

  /** Asks for a resource: it is acquired, need not be, or will be as soon as those before are done. */
  async lock({ type, resource, node }: LegacyWish): Promise<LockAnswer> {
    const session = await this.nodes.open(node)
    const key = lockKey(resource)
    return this.#turns.take(`${session} ${key}`, async () => {
      for (;;) {
        const record = await this.record(key)
        if (holdOf(record, session, type) !== undefined) return { status: 'acquired' }
        if (type === 'delete' && (await this.isReferencedByOthers(resource, session))) {
          return { status: 'refused', error: REFERENCED }
        }
        const place = placeOf(record, session, type)
        const wish = place === undefined ? createWish(session, type, this.#options.holdMs) : wishOf(place)
        try {
          return await this.#ask(key, resource, wish)
        } catch (error) {
          // Its place was taken up or given away meanwhile: the record says how.
          if (!isLeaseLost(error)) throw error
        }
      }
    })
  }

  /** Ends a hold. False when this node does not hold the resource for that operation. */
  async unlock({ type, resource, node }: LegacyWish, { success, error }: LegacyResult): Promise<boolean> {
    const session = this.nodes.find(node)
    if (session === undefined) return false
    const key = lockKey(resource)
    return this.#turns.take(`${session} ${key}`, async () => {
      const record = await this.record(key)
      const hold = holdOf(record, session, type)
      if (hold === undefined) return false
      try {
        if (success) await this.#succeed({ type, resource }, hold)
        else await this.#fail(key, hold, { row: record?.streak?.count ?? 0, error: error ?? 'the node gave no reason' })
        return true
      } catch (failure) {
        if (isLeaseLost(failure)) return false
        throw failure
      }
    })
  }

  /** How things are now, without changing them. */
  async status({ type, resource, node }: LegacyWish): Promise<LegacyStatus> {
    const session = this.nodes.find(node)
    const record = await this.record(lockKey(resource))
    const acquired = session !== undefined && holdOf(record, session, type) !== undefined
    const result = record === undefined ? undefined : this.#resultOf(record, type)
    return { acquired, completed: result !== undefined, success: result === true }
  }

  /** The record as it is now: what time alone has changed is in it. */
  async record(key: Key): Promise<KeyRecord | undefined> {
    const { service, store } = this.#options
    await service.execute(key, { op: 'tick' })
    return (await store.read(key))?.record
  }

  /** Whether other nodes have pulled the resource and not deleted it. */
  async isReferencedByOthers(resource: string, session: SessionRef): Promise<boolean> {
    const { service, store } = this.#options
    const copies = (await store.read(referenceKey(resource)))?.record.copies ?? []
    return copies.some((ref) => ref !== session && service.sessions.facts(ref) !== undefined)
  }

  /** Whether the end of a ticket was a success; undefined when it says nothing of the work. */
  verdictOf({ ticket, session, token, how }: Ended): boolean | undefined {
    const isOurs = this.nodes.nameOf(session) !== undefined
    if (token === undefined) return undefined
    if (how === 'completed') return true
    if (how === 'released') return isOurs && typeOf(ticket) === 'update' ? true : undefined
    return how === 'cancelled' && !isOurs ? undefined : false
  }

  /** The error that a node gave for this hold, once. */
  takeError(token: number): string | undefined {
    const error = this.#errors.get(token)
    this.#errors.delete(token)
    return error
  }

  async #ask(key: Key, resource: string, wish: ReturnType<typeof createWish>): Promise<LockAnswer> {
    const { service } = this.#options
    const { answer } = await service.execute(key, wish)
    if (answer.status === 'done') return { status: 'skip' }
    if (answer.status === 'failed') return { status: 'failed', error: answer.error.message }
    if (answer.status !== 'granted') return { status: 'queued' }
    // Looked at again while it holds the key: from here on nobody can complete a pull.
    if (typeOf(wish.ticket) === 'delete' && (await this.isReferencedByOthers(resource, wish.session))) {
      await service.execute(key, { op: 'cancel', session: wish.session, ticket: wish.ticket })
      return { status: 'refused', error: REFERENCED }
    }
    return { status: 'acquired' }
  }

  async #succeed({ type, resource }: LegacyTopic, { session, token }: Hold): Promise<void> {
    const { service, retainMs } = this.#options
    const key = lockKey(resource)
    const end = { session, fencingToken: token }
    if (type === 'update') {
      // Not a completion: what was pulled is pulled still, and the next update runs all the same.
      await service.execute(key, { op: 'release', ...end })
    } else if (type === 'pull') {
      // Before the end of the hold, so that no delete can come in between.
      await service.execute(referenceKey(resource), { op: 'addCopy', session })
      await service.execute(key, { op: 'complete', ...end, retainMs, copy: false, clear: false })
    } else {
      await service.execute(referenceKey(resource), { op: 'forget' })
      await service.execute(key, { op: 'complete', ...end, copy: false, clear: true })
    }
  }

  async #fail(key: Key, hold: Hold, { row, error }: { readonly row: number; readonly error: string }): Promise<void> {
    const { service } = this.#options
    const { session, token, ticket } = hold
    const message = error.slice(0, MAX_ERROR_LENGTH)
    if (row < MAX_NOTED_FAILURES) {
      const failure = { code: 'legacy_failure', message }
      await service.execute(key, { op: 'fail', session, fencingToken: token, error: failure, permanent: false })
      return
    }
    this.#errors.set(token, message)
    await service.execute(key, { op: 'cancel', session, ticket })
  }

  /** How the last operation of that type has ended; undefined while one is under way, and when it is not known any more. */
  #resultOf(record: KeyRecord, type: LegacyType): boolean | undefined {
    const hasOutcome = record.outcome !== undefined && isPublic(record.outcome, this.#options.clock.nowMs())
    if (type === 'pull' && hasOutcome) return true
    if ([...record.holds, ...record.queue].some(({ ticket }) => typeOf(ticket) === type)) return undefined
    const verdicts = record.ended.filter(({ ticket }) => typeOf(ticket) === type).map((end) => this.verdictOf(end))
    const last = verdicts.findLast((verdict) => verdict !== undefined)
    // A pull whose outcome is gone can be had again, however well it ended.
    return type === 'pull' && last === true ? undefined : last
  }

  [Symbol.dispose](): void {
    this.nodes[Symbol.dispose]()
  }
}

/** This session's hold for that operation. A delete that came out of the queue is none before it was looked at. */
function holdOf(record: KeyRecord | undefined, session: SessionRef, type: LegacyType): Hold | undefined {
  const hold = record?.holds.find((each) => each.session === session && typeOf(each.ticket) === type)
  return type === 'delete' && hold?.offerEndsMs !== undefined ? undefined : hold
}

/** This session's place for that operation: in the queue, or at its head with a delete that is to be looked at. */
function placeOf(record: KeyRecord | undefined, session: SessionRef, type: LegacyType) {
  const entries = [...(record?.queue ?? []), ...(record?.holds ?? [])]
  return entries.find((each) => each.session === session && typeOf(each.ticket) === type)
}

/** Whether the ticket or the token had ended when the command came. */
export function isLeaseLost(error: unknown): boolean {
  return error instanceof ProtocolError && error.code === 'lease_lost'
}
