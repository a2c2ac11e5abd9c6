import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createRandom, temporaryFolder, waitFor } from '@layerlock/test-support'
import { expect, test } from 'vitest'
import type { StoredSession } from '../../../packages/lock-server/src/store/lock-store.ts'
import { SqliteLockStore } from '../../../packages/lock-server/src/store/sqlite-lock-store.ts'
import { drawRecord, STORE_KEYS, type StoreReport } from './store-report.ts'

const ROUNDS = 100
const LANES = 4
const SEED = Number(process.env['LAYERLOCK_FAULT_SEED'] ?? Date.now() % 1_000_000)
const WRITER = join(import.meta.dirname, 'store-writer.ts')

type Swap = Extract<StoreReport, { type: 'swap' }>
type SessionChange = Extract<StoreReport, { type: 'save' | 'delete' }>

/** What the store may and must know: the state before the last change if that was not promised, and the one after it. */
class Expected {
  readonly records = new Map<string, unknown>()
  readonly sessions = new Map<string, StoredSession | undefined>()
  promised = 0
  greatestToken = 0
  greatestVersion = 0

  /** Looks at what one process reported and at what is in the store now. Gives back what does not fit. */
  async compare(reports: readonly StoreReport[], store: SqliteLockStore): Promise<string[]> {
    const promised = new Set(reports.flatMap((line) => (line.type === 'promised' ? line.id : [])))
    this.promised += promised.size
    const losses: string[] = []
    for (const key of STORE_KEYS) {
      const swaps = reports.filter((line): line is Swap => line.type === 'swap' && line.key === key)
      const allowed = this.#follow(this.records, key, swaps, promised, ({ record }) => record)
      const found = await store.read(key)
      if (!allowed.some((state) => isSame(state, found?.record))) {
        losses.push(`${key}: ${JSON.stringify(found)} is none of ${JSON.stringify(allowed)}`)
      }
      this.records.set(key, found?.record)
      for (const { id, expectedVersion, record } of swaps) {
        this.greatestVersion = Math.max(this.greatestVersion, expectedVersion)
        if (promised.has(id)) this.greatestToken = Math.max(this.greatestToken, record?.lastToken ?? 0)
      }
    }
    losses.push(...this.#compareSessions(reports, promised, await store.sessions()))
    const token = await store.greatestToken()
    if (token < this.greatestToken) losses.push(`the greatest token is ${token}, it was ${this.greatestToken}`)
    return losses
  }

  #compareSessions(
    reports: readonly StoreReport[],
    promised: ReadonlySet<number>,
    stored: readonly StoredSession[],
  ): string[] {
    return ['s0', 's1', 's2', 's3'].flatMap((name) => {
      const changes = reports.filter(
        (line): line is SessionChange => (line.type === 'save' || line.type === 'delete') && line.session.id === name,
      )
      const after = ({ type, session }: SessionChange) => (type === 'save' ? session : undefined)
      const allowed = this.#follow(this.sessions, name, changes, promised, after)
      const found = stored.find(({ id }) => id === name)
      this.sessions.set(name, found)
      return allowed.some((state) => isSame(state, found)) ? [] : [`session ${name}: ${JSON.stringify(found)}`]
    })
  }

  /** Changes come one after the other, so only the last one can be open. */
  #follow<Change extends { readonly id: number }>(
    states: ReadonlyMap<string, unknown>,
    name: string,
    changes: readonly Change[],
    promised: ReadonlySet<number>,
    after: (change: Change) => unknown,
  ): unknown[] {
    const done = changes.findLast(({ id }) => promised.has(id))
    const last = changes.at(-1)
    const sure = done === undefined ? states.get(name) : after(done)
    return last === undefined || last === done ? [sure] : [sure, after(last)]
  }
}

test(`a store that is killed ${ROUNDS} times has all that it promised, seed ${SEED}`, async () => {
  await using folder = await temporaryFolder('store-kill')
  const lanes = await Promise.all(Array.from({ length: LANES }, (_, lane) => runLane(folder.path, lane)))
  expect(lanes.flatMap(({ losses }) => losses)).toEqual([])
  const promised = lanes.reduce((sum, lane) => sum + lane.promised, 0)
  expect(promised).toBeGreaterThan(ROUNDS)
})

async function runLane(folder: string, lane: number): Promise<{ losses: string[]; promised: number }> {
  const path = join(folder, `store${lane}.db`)
  const expected = new Expected()
  const losses: string[] = []
  for (let round = 0; round < ROUNDS / LANES && losses.length === 0; round++) {
    const random = createRandom(SEED, 'store', lane, round)
    const reportPath = join(folder, `report-${lane}-${round}`)
    await writeAndKill(path, reportPath, random.between(0, 1_000_000), random.between(0, 60))
    await using store = SqliteLockStore.open(path)
    const found = await expected.compare(readReports(reportPath), store)
    losses.push(...found.map((loss) => `lane ${lane}, round ${round}: ${loss}`), ...(await goesOn(store, expected)))
  }
  return { losses, promised: expected.promised }
}

/** Starts a process that changes the store, and kills it some time after its first promises. */
async function writeAndKill(path: string, reportPath: string, seed: number, afterMs: number): Promise<void> {
  const child = spawn(process.execPath, [WRITER, path, reportPath, String(seed)], {
    stdio: ['ignore', 'ignore', 'pipe'],
    // Most of its short life is loading sources otherwise.
    env: { ...process.env, NODE_COMPILE_CACHE: `${path}-compiled` },
  })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const exited = once(child, 'exit')
  try {
    await waitFor(() => child.exitCode !== null || (existsSync(reportPath) && statSync(reportPath).size > 1_000), {
      what: 'the first promises',
      timeoutMs: 60_000,
    })
    await sleep(afterMs)
  } finally {
    child.kill('SIGKILL')
  }
  await exited
  if (child.exitCode !== null) throw new Error(`the writer ended by itself: ${stderr}`)
}

function readReports(path: string): StoreReport[] {
  const text = readFileSync(path, 'utf8')
  const lines = text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .slice(0, -1)
  return lines.map((line) => JSON.parse(line) as StoreReport)
}

/** The store takes changes again, and gives them versions that were never there before. */
async function goesOn(store: SqliteLockStore, expected: Expected): Promise<string[]> {
  const key = STORE_KEYS[0]!
  const before = await store.read(key)
  const next = drawRecord(createRandom(0), key, before?.record, expected.greatestToken + 1) ?? before?.record
  if (!(await store.swap(key, before?.version ?? 0, next)))
    return [`${key}: a swap with the version that was read failed`]
  const found = await store.read(key)
  expected.records.set(key, found?.record)
  expected.greatestToken++
  if (found === undefined || found.version > expected.greatestVersion) return []
  return [`${key}: version ${found.version} was there before, up to ${expected.greatestVersion}`]
}

function isSame(one: unknown, other: unknown): boolean {
  const plain = (value: unknown) => (value === undefined ? undefined : JSON.stringify(sorted(value)))
  return plain(one) === plain(other)
}

/** Fields in one order, without those that are undefined. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1))
  return Object.fromEntries(entries.map(([name, field]) => [name, sorted(field)]))
}
