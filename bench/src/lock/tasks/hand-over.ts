import { setTimeout as sleep } from 'node:timers/promises'
import type { LockUser } from '../lock-user.ts'
import { seededRandom } from '../statistics.ts'
import type { Reading } from '../task.ts'

/** Each holder holds long enough for the one before to be in line again, in milliseconds. */
const LEAST_HOLD_MS = 5
/**
 * How long each has waited in line when its turn comes, at the least: etcd looks only every 100 ms for what a new
 * watcher has missed, and tells it of a release at once only from then on.
 */
const LEAST_WAIT_MS = 120
/** Waits are spread over two polls of the slowest poller, so that its polls and the releases do not keep step. */
const WAIT_SPREAD_MS = 400
/** Holds are spread over two polls of the fastest poller, for the same reason. */
const HOLD_SPREAD_MS = 20
/** Between two who join a line at first, so that they stand in the order in which they asked. */
const JOIN_PAUSE_MS = 2
/** How long those who poll get to be at it, as nobody can see when they are. */
const SETTLE_MS = 500
/** With one waiter nearly all time is waiting, so that several lines fit into it. */
const LINES_OF_ONE = 8
/** Hand-overs that are not counted, of each line. */
const WARM_UP_COUNT = 2
/** A run goes on for longer until it has so many samples, but only that much longer. */
const LEAST_SAMPLES = 20
const GREATEST_STRETCH = 6
/** A longer line is left standing at the end: to serve it takes too long. */
const LONGEST_SERVED = 100

interface Line {
  readonly key: string
  readonly waiters: number
  /** The number of its first place. */
  readonly firstPlace: number
  readonly random: () => number
}

/**
 * One holds, the others wait: from before `release` is called until the next `acquire` resolves. Who gave the lock
 * back asks again only when the next one has it, so that it cannot win against those who wait.
 */
export async function handOver(
  user: LockUser,
  { run, waiters, forMs }: { readonly run: string; readonly waiters: number; readonly forMs: number },
): Promise<Reading> {
  const count = waiters === 1 ? LINES_OF_ONE : 1
  await user.prepare((waiters + 1) * count)
  const lines = Array.from({ length: count }, (_, index) => {
    const key = `hand-over/${run}/${waiters}/${index}`
    return new MeasuredLine(user, { key, waiters, firstPlace: index * (waiters + 1), random: seededRandom(index + 1) })
  })
  const startMs = performance.now()
  await Promise.all(lines.map((line) => line.form()))
  const setUpMs = performance.now() - startMs
  for (const line of lines) line.begin()

  const samples = () => lines.flatMap(({ samplesMs }) => samplesMs)
  for (let tries = 0; tries < GREATEST_STRETCH && (tries === 0 || samples().length < LEAST_SAMPLES); tries++) {
    await Promise.race([sleep(forMs), ...lines.map((line) => line.failed)])
  }
  const inOrder = lines.reduce((sum, line) => sum + line.inOrder, 0) / samples().length
  const reading = { samplesMs: samples(), numbers: { inOrder, setUpMs } }
  const ended = Promise.all(lines.map((line) => line.end()))
  if (waiters > LONGEST_SERVED) return { ...reading, isSpent: true }
  await ended
  return reading
}

/** Everyone who wants one key. */
class MeasuredLine {
  readonly samplesMs: number[] = []
  /** How many samples went to who had waited longest. */
  inOrder = 0
  readonly #user: LockUser
  readonly #line: Line
  readonly #leastHoldMs: number
  readonly #holdSpreadMs: number
  /** Who waits, the longest first: a `Set` remembers the order. */
  readonly #waiting = new Set<number>()
  readonly #begun = Promise.withResolvers<void>()
  readonly #failed = Promise.withResolvers<never>()
  #all: Promise<unknown> = Promise.resolve()
  #taken = Promise.withResolvers<void>()
  #releasedAtMs: number | undefined
  #handOvers = 0
  #isOver = false

  constructor(user: LockUser, line: Line) {
    this.#user = user
    this.#line = line
    // Whether anyone looks or not.
    this.#failed.promise.catch(() => undefined)
    this.#leastHoldMs = Math.max(LEAST_HOLD_MS, LEAST_WAIT_MS / line.waiters)
    this.#holdSpreadMs = Math.max(HOLD_SPREAD_MS, WAIT_SPREAD_MS / line.waiters)
  }

  /** Rejects when one of them fails. */
  get failed(): Promise<never> {
    return this.#failed.promise
  }

  /** One takes the lock, the others get in line. */
  async form(): Promise<void> {
    const { waiters } = this.#line
    const loops: Promise<void>[] = []
    for (let index = 0; index <= waiters; index++) {
      loops.push(this.#takePart(this.#line.firstPlace + index))
      loops[index]!.catch((error: unknown) => this.#failed.reject(error))
      if (index === 0) await Promise.race([this.#taken.promise, this.failed])
      else if (waiters > LONGEST_SERVED) await sleep(JOIN_PAUSE_MS)
      else await this.#inLine(index)
    }
    this.#all = Promise.all(loops)
    if (this.#user.waiting === undefined) await sleep(SETTLE_MS)
    await this.#inLine(waiters)
  }

  /** Waits until so many are in line, as far as anyone can see. */
  async #inLine(count: number): Promise<void> {
    const { key } = this.#line
    if (this.#user.waiting === undefined) return
    while ((await this.#user.waiting(key)) < count) await Promise.race([sleep(1), this.failed])
  }

  /** Lets the first holder go on. */
  begin(): void {
    this.#begun.resolve()
  }

  /** From here on who gets the lock gives it back at once and leaves. Resolves when all have. */
  async end(): Promise<void> {
    this.#isOver = true
    await this.#all
  }

  async #takePart(place: number): Promise<void> {
    const { key, random } = this.#line
    for (;;) {
      this.#waiting.add(place)
      const release = await this.#user.acquire(key, place)
      this.#note(place)
      this.#waiting.delete(place)
      this.#taken.resolve()
      await this.#begun.promise
      if (!this.#isOver) await sleep(this.#leastHoldMs + random() * this.#holdSpreadMs)
      const next = Promise.withResolvers<void>()
      this.#taken = next
      this.#releasedAtMs = performance.now()
      await release()
      if (this.#isOver) return
      await next.promise
    }
  }

  #note(place: number): void {
    if (this.#isOver || this.#releasedAtMs === undefined || ++this.#handOvers <= WARM_UP_COUNT) return
    this.samplesMs.push(performance.now() - this.#releasedAtMs)
    const [longest] = this.#waiting
    if (longest === place) this.inOrder++
  }
}
