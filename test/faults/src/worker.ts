import { type Lease, LockClient, type LockClientOptions, LockError, LockFailedError } from '@layerlock/client'
import type { StartRound } from './client-message.ts'
import { type CallResult, type Entry, nowMicros, type Operation } from './entry.ts'
import { createRandom, type Random } from '@layerlock/test-support'
import { drawTask, type Task } from './task.ts'

export interface WorkerOptions {
  readonly name: string
  /** Where it writes down what it sees. */
  readonly history: { write(entry: Entry): void }
  readonly client: Omit<LockClientOptions, 'node' | 'onSession'>
  /** The clock of the history. Default: the machine's. */
  readonly now?: (() => number) | undefined
}

/** What the work of `once` throws on purpose. */
class WorkFailure extends Error {}

/** One client, which makes one call after the other and writes down each step. */
export class Worker {
  readonly #name: string
  readonly #history: WorkerOptions['history']
  readonly #now: () => number
  readonly #locks: LockClient
  #calls = 0
  #sessions = 0

  constructor({ name, history, client, now = nowMicros }: WorkerOptions) {
    this.#name = name
    this.#history = history
    this.#now = now
    const onSession = () => history.write({ type: 'session', at: now(), client: name, count: ++this.#sessions })
    this.#locks = new LockClient({ ...client, node: name, onSession })
  }

  async connect(): Promise<void> {
    while (!(await this.#isConnected())) await sleep(50)
  }

  /** Begins calls for `workMs`, and resolves when the last one has ended. */
  async work({ round, seed, workMs }: StartRound): Promise<void> {
    const untilMs = performance.now() + workMs
    const random = createRandom(seed, round, this.#name)
    while (performance.now() < untilMs) {
      await this.carryOut(drawTask(random, round), random)
      await sleep(random.between(0, 10))
    }
  }

  /** Makes one call and writes down how it went. */
  async carryOut(task: Task, random: Random): Promise<void> {
    const { key, limit, operation } = task
    const call = `${this.#name}#${++this.#calls}`
    const write = (entry: DistributiveOmit<Entry, 'at' | 'call'>, at = this.#now()) =>
      this.#history.write({ ...entry, at, call } as Entry)
    write({ type: 'call', client: this.#name, key, operation, limit })
    try {
      const { result, token } = await this.#run(operation, new Steps(task, random, write, this.#now))
      write({ type: 'result', result, ...(token === undefined ? {} : { token }) })
    } catch (error) {
      if (error instanceof WorkFailure) {
        write({ type: 'result', result: 'ran' })
        return
      }
      const result = resultOf(error)
      const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
      if (result === undefined) {
        this.#history.write({ type: 'crash', at: this.#now(), client: this.#name, error: `${call}: ${text}` })
        return
      }
      const retryAfterMs = error instanceof LockFailedError ? error.retryAfterMs : undefined
      write({ type: 'result', result, error: text, retryAfterMs })
    }
  }

  async #run(operation: Operation, steps: Steps): Promise<{ result: CallResult; token?: number }> {
    const { key, limit, timeoutMs, retainMs } = steps.task
    switch (operation) {
      case 'acquire':
        return steps.hold(await this.#locks.acquire(key, { limit, timeoutMs }))
      case 'tryAcquire': {
        const lease = await this.#locks.tryAcquire(key, { limit, timeoutMs })
        return lease === undefined ? { result: 'busy' } : steps.hold(lease)
      }
      case 'ticket':
        return this.#waitInLine(steps)
      case 'once': {
        const options = { timeoutMs, retainMs }
        const done = await this.#locks.once<{ token: number }>(key, (lease) => steps.runOnce(lease), options)
        if (done.ran) steps.write({ type: 'ended' })
        return { result: done.ran ? 'ran' : 'done', token: done.value.token }
      }
    }
  }

  async #waitInLine(steps: Steps): Promise<{ result: CallResult; token?: number }> {
    const { key, limit, timeoutMs } = steps.task
    const ticket = this.#locks.ticket(key, { limit, ignoreOutcome: true })
    const signal = timeoutMs === undefined ? undefined : AbortSignal.timeout(timeoutMs)
    try {
      for (let first = true; ; first = false) {
        // The first answer comes at once and says where this ticket stands; the next ones when there is news.
        const answer = await (first ? ticket.ask({ signal }) : ticket.next({ signal }))
        if (answer.status === 'granted') return await steps.hold(answer.lease, ticket.id)
        if (answer.status === 'failed') {
          throw new LockFailedError(answer.error, answer.attempts, { key, retryAfterMs: answer.retryAfterMs })
        }
        if (answer.status !== 'queued') throw new Error(`a mutex was answered ${answer.status}`)
        steps.write({ type: 'queued', ticket: ticket.id, position: answer.position })
      }
    } catch (error) {
      // Also when there was no answer: the ticket may be in line, or granted, all the same.
      await ticket.cancel()
      if (error !== signal?.reason) throw error
      return { result: 'cancelled' }
    }
  }

  async close(): Promise<void> {
    await this.#locks.close()
  }

  async #isConnected(): Promise<boolean> {
    return this.#locks.connect().then(
      () => true,
      () => false,
    )
  }
}

type DistributiveOmit<T, Field extends string> = T extends unknown ? Omit<T, Field> : never

/** What one call does once it has its lease. */
class Steps {
  readonly task: Task
  readonly write: (entry: DistributiveOmit<Entry, 'at' | 'call'>, at?: number) => void
  readonly #random: Random
  readonly #now: () => number

  constructor(task: Task, random: Random, write: Steps['write'], now: () => number) {
    this.task = task
    this.#random = random
    this.#now = now
    this.write = write
  }

  async hold(lease: Lease, ticket?: string): Promise<{ result: CallResult; token: number }> {
    const { fencingToken: token } = lease
    await this.#useLease(lease, ticket)
    const { ending } = this.task
    this.write({ type: 'ending', how: ending })
    const error = { code: 'on_purpose', message: 'a failure on purpose' }
    await (ending === 'fail' ? lease.fail(error) : lease.release())
    this.write({ type: 'ended' })
    return { result: 'held', token }
  }

  async runOnce(lease: Lease): Promise<{ token: number }> {
    await this.#useLease(lease, undefined)
    const { retainMs, ending } = this.task
    if (ending === 'fail') {
      this.write({ type: 'ending', how: 'fail' })
      throw new WorkFailure('a failure on purpose')
    }
    this.write({ type: 'ending', how: 'complete', ...(retainMs === undefined ? {} : { retainMs }) })
    return { token: lease.fencingToken }
  }

  /** Writes under the lease's token again and again, each time after asserting that it is held. */
  async #useLease(lease: Lease, ticket: string | undefined): Promise<void> {
    this.write({ type: 'granted', token: lease.fencingToken, ...(ticket === undefined ? {} : { ticket }) })
    const untilMs = performance.now() + this.task.holdMs
    do {
      const at = this.#now()
      lease.assertHeld()
      this.write({ type: 'write' }, at)
      await sleep(this.#random.between(1, 8 + Math.floor(this.task.holdMs / 20)))
    } while (performance.now() < untilMs)
  }
}

/** What a typed error means; undefined for one that is none. */
function resultOf(error: unknown): CallResult | undefined {
  if (!(error instanceof LockError)) return undefined
  if (error.code === 'timeout') return 'timeout'
  if (error.code === 'lease_lost') return 'lost'
  if (error instanceof LockFailedError) return 'failed'
  return error.retryable ? 'unavailable' : undefined
}

/** By the global timer, which tests may replace. */
function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
