import { type LockEvent, parseKey, ProtocolError } from '@layerlock/protocol'
import { isPublic } from '../core/outcome.ts'
import type { Ended, Hold, KeyRecord } from '../core/record.ts'
import { createWish, lockKey, lockRecords, resourceOf, typeOf, wishOf } from './legacy-keys.ts'
import { isLeaseLost, type LegacyLocks, type LegacyOptions, REFERENCED } from './legacy-locks.ts'
import type { LegacyTopic, LegacyType } from './legacy-wish.ts'
import { Turns } from './turns.ts'

/** What a subscriber is told, in the form that goes out. */
export interface LegacyEvent {
  readonly type: LegacyType
  readonly resource_id: string
  readonly node_id: string
  readonly success: boolean
  readonly error: string | null
  /** RFC 3339, UTC. */
  readonly completed_at: string
}

/** The end of a hold, and the record after it. */
interface End {
  readonly resource: string
  readonly event: LockEvent
  readonly token: number
  readonly record: KeyRecord | undefined
}

type Subscriber = (event: LegacyEvent) => void

/** When what must not be lost is tried again after the store failed, in milliseconds. */
const RETRY_MS = 1_000

/**
 * Tells subscribers how operations end, and gives the lock to the next node in line: old nodes do not take up offers, so
 * that is done for them. What happens to one resource is told in the order in which it happened.
 */
export class LegacyEvents implements Disposable {
  readonly #options: LegacyOptions
  readonly #locks: LegacyLocks
  readonly #turns = new Turns()
  readonly #subscribers = new Map<string, Set<Subscriber>>()
  /** The last hand-over of each resource whose new holder still works, for those who subscribe only then. */
  readonly #handedOn = new Map<string, { readonly token: number; readonly event: LegacyEvent }>()
  /** Offers that ended before they could be taken up: nobody has worked, and so nobody has failed. */
  readonly #lapsed = new Set<number>()
  #listening: Disposable | undefined
  #disposed = false

  constructor(options: LegacyOptions, locks: LegacyLocks) {
    this.#options = options
    this.#locks = locks
  }

  /** Takes up what the server's life before has left: offers, and holders whose subscriptions have broken. */
  async restore(): Promise<void> {
    this.#listening = this.#options.service.events.listen(({ event }) => {
      const resource = resourceOf(event.key)
      const token = event.fencingToken
      if (resource === undefined || token === undefined) return
      this.#soon(resource, () => this.#follow(resource, event, token))
    })
    for await (const record of lockRecords(this.#options.store)) {
      const resource = resourceOf(record.key)
      for (const hold of record.holds) {
        if (resource !== undefined && this.#nameOf(hold) !== undefined) await this.#handOn(resource, hold)
      }
    }
  }

  /**
   * Tells of everything that ends from now on, and first of what is so already: a pull that is completed, or the node
   * that the lock was handed on to. So nobody misses what happened just before it subscribed.
   */
  async subscribe(topic: LegacyTopic, subscriber: Subscriber): Promise<Disposable> {
    const name = nameOf(topic)
    return this.#turns.take(topic.resource, async () => {
      const current = await this.#current(topic)
      const subscribers = this.#subscribers.get(name) ?? new Set()
      this.#subscribers.set(name, subscribers.add(subscriber))
      if (current !== undefined) subscriber(current)
      return {
        [Symbol.dispose]: () => {
          subscribers.delete(subscriber)
          if (subscribers.size === 0 && this.#subscribers.get(name) === subscribers) this.#subscribers.delete(name)
        },
      }
    })
  }

  async #current({ type, resource }: LegacyTopic): Promise<LegacyEvent | undefined> {
    const record = await this.#locks.record(lockKey(resource))
    const nowMs = this.#options.clock.nowMs()
    const outcome = type === 'pull' ? record?.outcome : undefined
    if (outcome !== undefined && isPublic(outcome, nowMs)) {
      const completed_at = timeOf(Date.now() - (nowMs - outcome.atMs))
      return { ...createEvent({ type, resource }, outcome.node, undefined, true), completed_at }
    }
    const handedOn = this.#handedOn.get(resource)?.event
    return handedOn?.type === type ? handedOn : undefined
  }

  async #follow(resource: string, event: LockEvent, token: number): Promise<void> {
    const record = await this.#locks.record(parseKey(event.key))
    if (event.type === 'granted') {
      const hold = record?.holds.find((each) => each.token === token)
      if (hold?.offerEndsMs !== undefined && this.#nameOf(hold) !== undefined) await this.#handOn(resource, hold)
      const lapsed = record?.ended.find((end) => end.token === token && end.how === 'expired')
      if (lapsed !== undefined) await this.#requeue(resource, lapsed)
    } else if (event.type !== 'forgotten') {
      if (this.#handedOn.get(resource)?.token === token) this.#handedOn.delete(resource)
      if (!this.#lapsed.delete(token)) this.#tellEnd({ resource, event, token, record })
    }
  }

  /** Takes up the offer of the next node in line, which is the holder from here on. */
  async #handOn(resource: string, hold: Hold): Promise<void> {
    const { service } = this.#options
    const key = lockKey(resource)
    const { session, ticket, token } = hold
    const isOffer = hold.offerEndsMs !== undefined
    if (isOffer && typeOf(ticket) === 'delete' && (await this.#locks.isReferencedByOthers(resource, session))) {
      await service.execute(key, { op: 'cancel', session, ticket })
      return
    }
    try {
      if (isOffer) await service.execute(key, wishOf(hold))
    } catch (error) {
      if (!isLeaseLost(error)) throw error
      await this.#requeue(resource, hold)
      return
    }
    const topic = { type: typeOf(ticket), resource }
    const event = createEvent(topic, this.#nameOf(hold) ?? 'unknown', hold.lastError?.message, false)
    this.#handedOn.set(resource, { token, event })
    this.#tell(event)
  }

  /** Puts a node back in line whose offer was over before it could be taken up: the store failed, or all stood still. */
  async #requeue(resource: string, { session, ticket, token }: Hold | Ended): Promise<void> {
    if (token === undefined || this.#nameOf({ session }) === undefined) return
    const wish = createWish(session, typeOf(ticket), this.#options.holdMs)
    const { answer } = await this.#options.service.execute(lockKey(resource), wish)
    this.#lapsed.add(token)
    if (answer.status !== 'granted') return
    const record = await this.#locks.record(lockKey(resource))
    const hold = record?.holds.find((each) => each.token === answer.fencingToken)
    if (hold !== undefined) await this.#handOn(resource, hold)
  }

  #tellEnd({ resource, event, token, record }: End): void {
    const end = record?.ended.find((each) => each.token === token)
    const own = this.#locks.takeError(token)
    const success = end === undefined ? record?.outcome?.token === token : this.#locks.verdictOf(end)
    if (success === undefined || (end === undefined && !success)) return
    const type = end === undefined ? 'pull' : typeOf(end.ticket)
    // Only deletes that were found to be in the way of others are taken back.
    const refused = event.type === 'cancelled' && own === undefined ? REFERENCED : undefined
    const error = success ? undefined : (own ?? refused ?? event.error?.message ?? 'the operation failed')
    this.#tell(createEvent({ type, resource }, event.node ?? 'unknown', error, success))
  }

  #tell(event: LegacyEvent): void {
    for (const tell of this.#subscribers.get(nameOf({ type: event.type, resource: event.resource_id })) ?? []) {
      tell(event)
    }
  }

  #nameOf({ session }: Pick<Hold, 'session'>): string | undefined {
    return this.#locks.nodes.nameOf(session)
  }

  /** Runs after what happened to the resource before; again and again while the store fails. */
  #soon(resource: string, work: () => Promise<void>): void {
    void this.#turns.take(resource, async () => {
      while (!this.#disposed) {
        try {
          await work()
          return
        } catch (error) {
          if (error instanceof ProtocolError && error.code !== 'overloaded') return
          const { promise, resolve } = Promise.withResolvers<void>()
          this.#options.clock.schedule(resolve, RETRY_MS)
          await promise
        }
      }
    })
  }

  [Symbol.dispose](): void {
    this.#disposed = true
    this.#listening?.[Symbol.dispose]()
  }
}

function nameOf({ type, resource }: LegacyTopic): string {
  return `${type} ${resource}`
}

function createEvent(
  { type, resource }: LegacyTopic,
  node: string,
  error: string | undefined,
  success: boolean,
): LegacyEvent {
  const completed_at = timeOf(Date.now())
  return { type, resource_id: resource, node_id: node, success, error: error ?? null, completed_at }
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString()
}
