import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { waitFor } from '@layerlock/test-support'
import { checkHistory } from './check-history.ts'
import { ClientHandle } from './client-handle.ts'
import { type Entry, nowMicros } from './entry.ts'
import { type History, readHistory } from './history.ts'
import { HistoryWriter } from './history-file.ts'
import { drawPlan, type PlannedFault, type RoundPlan, SHORT_TTL_MS } from './plan.ts'
import { KeyProbe } from './key-probe.ts'
import { ServerUnderTest } from './server-under-test.ts'
import { prefixOf } from './task.ts'
import type { Violation } from './violation.ts'

export interface LaneOptions {
  readonly name: string
  readonly seed: number
  /** An empty folder, for the server's data and the histories. */
  readonly folder: string
}

/** What came of one round. */
export interface RoundReport {
  readonly plan: RoundPlan
  readonly history: History
  readonly violations: readonly Violation[]
}

/** The process that nothing happens to, and the TTLs of its clients: longer than any silence of the server. */
const STEADY = { name: 'steady', sessionTtlsMs: [120_000, 120_000, 120_000] }
const HURT_PROCESSES = 2
const HURT_TTLS_MS = [SHORT_TTL_MS, SHORT_TTL_MS, SHORT_TTL_MS]
/** When every fault is over, all calls must end within this time. */
const HEALED_MS = 30_000

/** One lock server and its clients, through many rounds. Several lanes run side by side, for most of it is waiting. */
export class Lane implements AsyncDisposable {
  readonly #options: LaneOptions
  readonly #server: ServerUnderTest
  readonly #steady: ClientHandle
  readonly #probe: KeyProbe
  readonly #log: HistoryWriter
  #hurt: ClientHandle[]
  #started = HURT_PROCESSES
  /** What the conductor itself has to say of this round. */
  #entries: Entry[] = []
  #dead: ClientHandle[] = []

  private constructor(options: LaneOptions, server: ServerUnderTest, [steady, ...hurt]: ClientHandle[]) {
    this.#options = options
    this.#server = server
    this.#steady = steady!
    this.#hurt = hurt
    this.#log = new HistoryWriter(join(options.folder, 'conductor.jsonl'))
    this.#probe = new KeyProbe(server.url, (entry) => this.#note(entry))
  }

  static async start(options: LaneOptions): Promise<Lane> {
    await using parts = new AsyncDisposableStack()
    const server = parts.use(
      await ServerUnderTest.start({ data: join(options.folder, 'data'), compiled: join(options.folder, 'compiled') }),
    )
    const names = Array.from({ length: HURT_PROCESSES }, (_, index) => ({
      name: `p${index + 1}`,
      sessionTtlsMs: HURT_TTLS_MS,
    }))
    const clients = await Promise.all(
      [STEADY, ...names].map(async (client) => parts.use(await startClient(options, server, client))),
    )
    const lane = new Lane(options, server, clients)
    parts.move()
    return lane
  }

  async run(round: number): Promise<RoundReport> {
    const { seed } = this.#options
    const plan = drawPlan(seed, round, HURT_PROCESSES)
    const begun = this.#clients
    for (const client of begun) client.startRound({ round, seed, workMs: plan.workMs })
    const violations: Violation[] = []
    await this.#hurtAll(plan)
    const isDone = () => begun.every((client) => client.isDoneWith(round))
    await waitFor(isDone, { what: 'all calls to end', timeoutMs: HEALED_MS }).catch(() => {
      const stuck = begun.filter((client) => !client.isDoneWith(round)).map(({ name }) => name)
      violations.push({ rule: 'nobody waits for ever', message: `calls of ${stuck.join(', ')} do not end` })
    })
    const keys = this.#collect().calls.map(({ call }) => call)
    violations.push(...(await this.#probe.check(keys)), ...(await this.#checkDrained(round)))
    const history = this.#collect()
    this.#entries = []
    for (const client of this.#dead.splice(0)) await client[Symbol.asyncDispose]()
    const isSteady = (client: string) => client.startsWith(`${STEADY.name}.`)
    return { plan, history, violations: [...checkHistory(history, { isSteady }), ...violations] }
  }

  /** What the server's log said last. */
  get serverOutput(): string {
    return this.#server.lastOutput
  }

  get #clients(): ClientHandle[] {
    return [this.#steady, ...this.#hurt]
  }

  /** Carries out the plan; resolves when every fault is over. Faults of the server come one after the other. */
  async #hurtAll({ faults, round }: RoundPlan): Promise<void> {
    let serverIdle: Promise<void> = Promise.resolve()
    await Promise.all(
      faults.map(async (fault) => {
        await sleep(fault.atMs)
        if (!fault.kind.startsWith('server-')) {
          await this.#hurtClient(fault)
          return
        }
        serverIdle = serverIdle.then(() => this.#hurtServer(fault, round))
        await serverIdle
      }),
    )
  }

  async #hurtServer({ kind, durationMs }: PlannedFault, round: number): Promise<void> {
    this.#note({ type: 'fault', at: nowMicros(), fault: kind, target: 'server' })
    if (kind === 'server-stop') {
      await this.#server.stop(durationMs)
      return
    }
    await this.#server.restart(kind === 'server-kill' ? 'SIGKILL' : 'SIGTERM')
    this.#note(await this.#server.look(prefixOf(round)))
  }

  async #hurtClient({ kind, durationMs, client: index }: PlannedFault): Promise<void> {
    const client = this.#hurt[index]!
    this.#note({ type: 'fault', at: nowMicros(), fault: kind, target: client.name })
    if (kind === 'client-stop') {
      client.signal('SIGSTOP')
      await sleep(durationMs)
      client.signal('SIGCONT')
      return
    }
    this.#note({ type: 'killed', at: nowMicros(), process: client.name })
    await client.kill()
    this.#dead.push(client)
    const next = { name: `p${++this.#started}`, sessionTtlsMs: HURT_TTLS_MS }
    this.#hurt = this.#hurt.with(index, await startClient(this.#options, this.#server, next))
  }

  /** No hold and no ticket is left when nobody wants anything: they would be those of dead sessions. */
  async #checkDrained(round: number): Promise<Violation[]> {
    let left: string[] = []
    const isDrained = async () => {
      const { records } = await this.#server.look(prefixOf(round))
      left = records
        .filter(({ holders, queue }) => holders.length + queue.length > 0)
        .map((each) => JSON.stringify(each))
      return left.length === 0
    }
    return waitFor(isDrained, { what: 'all keys to be free' }).then(
      () => [],
      (error: unknown) => [{ rule: 'sessions', message: `${String(error)}: ${left.join('\n')}` }],
    )
  }

  #note(entry: Entry): void {
    this.#entries.push(entry)
    this.#log.write(entry)
  }

  #collect(): History {
    for (const client of [...this.#clients, ...this.#dead]) this.#entries.push(...client.readNew())
    return readHistory(this.#entries)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#probe[Symbol.asyncDispose]()
    await Promise.all([...this.#clients, ...this.#dead].map((client) => client[Symbol.asyncDispose]()))
    await this.#server[Symbol.asyncDispose]()
  }
}

function startClient(
  { folder, name: lane }: LaneOptions,
  { url }: ServerUnderTest,
  { name, sessionTtlsMs }: { readonly name: string; readonly sessionTtlsMs: readonly number[] },
): Promise<ClientHandle> {
  const historyPath = join(folder, `${lane}-${name}.jsonl`)
  return ClientHandle.start({ name, url, historyPath, sessionTtlsMs })
}
