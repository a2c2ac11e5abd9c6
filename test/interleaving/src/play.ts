import {
  checkHistory,
  createRandom,
  type Entry,
  readHistory,
  type Task,
  type Violation,
  Worker,
} from '@layerlock/faults'
import { vi } from 'vitest'
import type { Scenario } from './scenario.ts'
import { ServerInProcess } from './server-in-process.ts'
import { SimulatedNetwork } from './simulated-network.ts'
import { SimulatedTime } from './simulated-time.ts'

export interface Played {
  readonly entries: readonly Entry[]
  readonly violations: readonly Violation[]
  /** All requests in the order in which they were sent. */
  readonly requests: readonly string[]
}

/** The network is bad for so long at the most, in simulated milliseconds. */
const BAD_MS = 30_000
/** When it is fine again every call must end within this time: longer than sessions, offers, pauses and backoff. */
const HEALED_MS = 120_000
const SESSION_TTL_MS = 2_000

/** Plays a scenario in simulated time and holds what its clients saw against the rules. */
export async function play({ clients, fates, seed }: Scenario): Promise<Played> {
  using time = new SimulatedTime()
  const jitter = createRandom(seed, 'jitter')
  vi.spyOn(Math, 'random').mockImplementation(() => jitter.next())
  const server = await ServerInProcess.start()
  const network = new SimulatedNetwork(server, fates)
  const entries: Entry[] = []
  const startWorker = (name: string) => {
    const client = {
      url: 'http://locks.test',
      fetch: network.fetch,
      sessionTtlMs: SESSION_TTL_MS,
      tryTimeoutMs: 1_000,
      unavailableTimeoutMs: 10_000,
    }
    return new Worker({
      name: `${name}.0`,
      history: { write: (entry) => entries.push(entry) },
      client,
      now: createNow(),
    })
  }
  const createNow = () => () => nowInOrder(entries)

  const workers = clients.map((_, index) => startWorker(`c${index}`))
  const work = Promise.all(
    workers.map(async (worker, index) => {
      const random = createRandom(seed, index)
      for (const task of clients[index]!) await worker.carryOut(task, random)
    }),
  )
  await time.until(work, BAD_MS)
  network.heal()
  const violations: Violation[] = []
  const ended = await time.until(work, HEALED_MS)
  if (ended === undefined) violations.push({ rule: 'nobody waits for ever', message: 'calls do not end' })

  // Each key can be had in the end, after the refusals and the holds of lost sessions are over.
  const probe = startWorker('probe')
  const keys = new Map(clients.flat().map(({ key, limit }) => [key, limit]))
  const probing = Promise.all([...keys].map(([key, limit]) => probe.carryOut(probeOf(key, limit), createRandom(0))))
  if ((await time.until(probing, HEALED_MS)) === undefined) {
    violations.push({ rule: 'nobody waits for ever', message: 'a key cannot be had in the end' })
  }
  const history = readHistory(entries)
  violations.push(...checkHistory(history, { isSteady: () => false }), ...probesInVain(entries))
  await time.until(Promise.all([...workers, probe].map((worker) => worker.close())), HEALED_MS)
  await time.until(server[Symbol.asyncDispose](), HEALED_MS)
  return { entries, violations, requests: network.log }
}

/** The simulated clock in microseconds, never the same twice: what is written later was later. */
function nowInOrder(entries: readonly Entry[]): number {
  return Math.max(Math.round(performance.now() * 1_000), (entries.at(-1)?.at ?? 0) + 0.001)
}

function probeOf(key: string, limit: number): Task {
  return { operation: 'acquire', key, limit, holdMs: 0, ending: 'release', timeoutMs: 60_000, retainMs: undefined }
}

function probesInVain(entries: readonly Entry[]): Violation[] {
  return entries.flatMap((entry): Violation[] => {
    if (entry.type !== 'result' || !entry.call.startsWith('probe.') || entry.result === 'held') return []
    if (entry.result === 'failed') return []
    return [{ rule: 'nobody waits for ever', message: `${entry.call}: ${entry.error}` }]
  })
}
