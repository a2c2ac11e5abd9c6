import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { findBinary } from '@layerlock/test-support'
import type { ClientMessage, ClientProcessOptions, StartRound } from './client-message.ts'
import type { Entry } from './entry.ts'
import { HistoryReader } from './history-file.ts'

const PROGRAM = join(import.meta.dirname, 'client-process.ts')

/** A client process as its conductor sees it. Dispose: it is killed. */
export class ClientHandle implements AsyncDisposable {
  readonly name: string
  readonly #child: ChildProcess
  readonly #exited: Promise<unknown>
  readonly #reader: HistoryReader
  readonly #doneRounds = new Set<number>()
  #stderr = ''
  #killed = false

  private constructor(child: ChildProcess, { name, historyPath }: ClientProcessOptions) {
    this.#child = child
    this.name = name
    this.#exited = once(child, 'exit')
    this.#reader = new HistoryReader(historyPath)
    child.on('message', (message: ClientMessage) => {
      if (message.type === 'done') this.#doneRounds.add(message.round)
    })
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.#stderr = (this.#stderr + text).slice(-4_000)))
    child.on('error', () => undefined)
  }

  /** Starts the process; resolves when its clients have their sessions. */
  static async start(options: ClientProcessOptions): Promise<ClientHandle> {
    // The kernel ends it with this process, even while it is stopped.
    const setpriv = findBinary('setpriv')
    const command = [process.execPath, PROGRAM, JSON.stringify(options)]
    const [program, ...args] = setpriv === undefined ? command : [setpriv, '--pdeathsig', 'KILL', '--', ...command]
    const child = spawn(program!, args, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
    const handle = new ClientHandle(child, options)
    const ready = new Promise((resolve) => child.once('message', resolve))
    await Promise.race([ready, handle.#exited])
    if (handle.hasEnded) throw new Error(`client process ${options.name} did not start: ${handle.#stderr}`)
    return handle
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  startRound(start: StartRound): void {
    this.#child.send(start, () => undefined)
  }

  /** Whether nothing of this round is open any more here. */
  isDoneWith(round: number): boolean {
    return this.#doneRounds.has(round) || this.hasEnded
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  async kill(): Promise<void> {
    this.#killed = true
    this.#child.kill('SIGKILL')
    await this.#exited
  }

  /** What was written down since the last time. */
  readNew(): Entry[] {
    const entries = this.#reader.readNew()
    if (!this.hasEnded || this.#killed) return entries
    this.#killed = true
    const at = entries.at(-1)?.at ?? 0
    return [...entries, { type: 'crash', at, client: this.name, error: `the process ended by itself: ${this.#stderr}` }]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.hasEnded) await this.kill()
  }
}
