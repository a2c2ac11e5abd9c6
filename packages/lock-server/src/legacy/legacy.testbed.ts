import { vi } from 'vitest'
import { LockServer, type LockServerOptions } from '../lock-server.ts'
import { ManualClock } from '../service/manual-clock.ts'
import type { LockStore } from '../store/lock-store.ts'
import { MemoryLockStore } from '../store/memory-lock-store.ts'
import type { LegacyEvent } from './legacy-events.ts'
import type { LegacyType } from './legacy-wish.ts'

export const RETAIN_MS = 60_000
export const HOLD_MS = 40_000

export interface Answer {
  readonly status: number
  readonly body: Readonly<Record<string, unknown>>
}

export interface LegacyBedOptions extends Partial<LockServerOptions> {
  /** Opens the store anew for each start of the server. Default: one in memory that survives its server. */
  readonly openStore?: (() => LockStore) | undefined
}

/** A lock server that serves the earlier wire form, old nodes that call it, and a clock that only the test moves. */
export class LegacyBed implements AsyncDisposable {
  readonly clock = new ManualClock()
  readonly #options: LegacyBedOptions
  readonly #openStore: () => LockStore
  /** What is in memory, where the store is. */
  readonly store = new MemoryLockStore()
  readonly #subscriptions = new Set<Subscription>()
  #server: LockServer | undefined

  private constructor(options: LegacyBedOptions) {
    this.#options = options
    this.#openStore = options.openStore ?? (() => this.store)
  }

  static async start(options: LegacyBedOptions = {}): Promise<LegacyBed> {
    const bed = new LegacyBed(options)
    await bed.start()
    return bed
  }

  get url(): string {
    return this.#server!.url
  }

  async start(): Promise<void> {
    this.#server = await LockServer.start({
      host: '127.0.0.1',
      port: 0,
      store: this.#openStore(),
      clock: this.clock,
      // A client's connection that was opened and not used yet is not waited for.
      drainMs: 200,
      legacy: { retainMs: RETAIN_MS, holdMs: HOLD_MS },
      ...this.#options,
    })
  }

  async stop(): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]()
    this.#server = undefined
  }

  async restart(): Promise<void> {
    await this.stop()
    await this.start()
  }

  async send(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    const response = await fetch(this.url + path, {
      method,
      headers: body === undefined ? headers : { 'content-type': 'application/json', ...headers },
      body: body === undefined ? null : typeof body === 'string' ? body : JSON.stringify(body),
    })
    const text = await response.text()
    return { status: response.status, body: text === '' ? {} : JSON.parse(text) }
  }

  lock(node: string, type: LegacyType = 'pull', resource = 'r'): Promise<Answer> {
    return this.send('POST', '/lock', { type, resource_id: resource, node_id: node })
  }

  unlock(node: string, result: object = {}, type: LegacyType = 'pull', resource = 'r'): Promise<Answer> {
    return this.send('POST', '/unlock', { type, resource_id: resource, node_id: node, ...result })
  }

  async status(node: string, type: LegacyType = 'pull', resource = 'r'): Promise<Answer['body']> {
    return (await this.send('POST', '/lock/status', { type, resource_id: resource, node_id: node })).body
  }

  /** Pulls from beginning to end. */
  async pull(node: string, resource = 'r'): Promise<void> {
    await this.acquire(node, 'pull', resource)
    await this.unlock(node, {}, 'pull', resource)
  }

  /** Asks, and expects the lock. */
  async acquire(node: string, type: LegacyType = 'pull', resource = 'r'): Promise<void> {
    const { body } = await this.lock(node, type, resource)
    if (body['acquired'] !== true) throw new Error(`${node} should have the lock, but: ${JSON.stringify(body)}`)
  }

  /** Asks, and expects a place in the queue. */
  async queue(node: string, type: LegacyType = 'pull', resource = 'r'): Promise<void> {
    const { body } = await this.lock(node, type, resource)
    if (body['acquired'] !== false || body['skip'] !== false || 'error' in body) {
      throw new Error(`${node} should be in the queue, but: ${JSON.stringify(body)}`)
    }
  }

  /** What version 1 shows of the resource's key. */
  async record(resource = 'r'): Promise<Answer['body']> {
    return (await this.send('GET', `/v1/locks/legacy%2F${encodeURIComponent(resource)}`)).body
  }

  async subscribe(type: LegacyType = 'pull', resource = 'r'): Promise<Subscription> {
    const query = new URLSearchParams({ type, resource_id: resource })
    const subscription = await Subscription.open(`${this.url}/lock/subscribe?${query.toString()}`)
    this.#subscriptions.add(subscription)
    return subscription
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const subscription of this.#subscriptions) subscription.close()
    await this.stop()
  }
}

/** What a subscriber has been told. */
export class Subscription {
  readonly events: LegacyEvent[] = []
  readonly response: Response
  readonly #controller: AbortController
  /** Whether the server has ended the stream. */
  hasEnded = false

  private constructor(response: Response, controller: AbortController) {
    this.response = response
    this.#controller = controller
    // An abort is how a test leaves.
    void this.#read().catch(() => undefined)
  }

  /** Subscribes, and waits until the server has begun to answer. */
  static async open(url: string): Promise<Subscription> {
    const controller = new AbortController()
    return new Subscription(await fetch(url, { signal: controller.signal }), controller)
  }

  /** The events, as soon as there are so many. */
  async until(count: number): Promise<readonly LegacyEvent[]> {
    return vi.waitUntil(() => this.events.length >= count && this.events, { timeout: 30_000, interval: 5 })
  }

  close(): void {
    this.#controller.abort()
  }

  async #read(): Promise<void> {
    let text = ''
    for await (const chunk of this.response.body!.pipeThrough(new TextDecoderStream())) {
      const blocks = (text + chunk).split('\n\n')
      text = blocks.pop()!
      for (const block of blocks) {
        if (block.startsWith('data: ')) this.events.push(JSON.parse(block.slice('data: '.length)) as LegacyEvent)
      }
    }
    this.hasEnded = true
  }
}
