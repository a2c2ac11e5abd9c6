import { setTimeout as sleep } from 'node:timers/promises'
import { freePort, type LayerlockProcess, startLockServer } from '@layerlock/test-support'
import { type Entry, nowMicros } from './entry.ts'

type Restarted = Extract<Entry, { type: 'restarted' }>

interface Folders {
  /** The server's data. */
  readonly data: string
  /** Compiled sources, so that restarts are quick. */
  readonly compiled: string
}

/** A lock server with its state on disk, which may be killed and started again at the same address. */
export class ServerUnderTest implements AsyncDisposable {
  readonly url: string
  readonly #folders: Folders
  #process: LayerlockProcess

  private constructor(process: LayerlockProcess, folders: Folders) {
    this.url = process.url
    this.#process = process
    this.#folders = folders
  }

  static async start(folders: Folders): Promise<ServerUnderTest> {
    const listen = `127.0.0.1:${await freePort()}`
    return new ServerUnderTest(await startServer(listen, folders), folders)
  }

  /** Ends the process, by force or in order, and starts the next one on what is on disk. */
  async restart(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    await this.end(signal)
    await this.startAgain()
  }

  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    this.#process.kill(signal)
    await this.#process.exited
  }

  /** Starts the next process on what is on disk. @throws with its last output when it does not start */
  async startAgain(): Promise<void> {
    this.#process = await startServer(new URL(this.url).host, this.#folders)
  }

  /** Stops the process for a while: its connections stay, nothing is answered. */
  async stop(durationMs: number): Promise<void> {
    this.#process.kill('SIGSTOP')
    await sleep(durationMs)
    this.#process.kill('SIGCONT')
  }

  /** All that the server knows of keys with this prefix, now. */
  async look(prefix: string): Promise<Restarted> {
    const at = nowMicros()
    const records: Restarted['records'][number][] = []
    for (let cursor: string | undefined = ''; cursor !== undefined;) {
      const query = new URLSearchParams({ limit: '1000', prefix, ...(cursor === '' ? {} : { cursor }) })
      const response = await fetch(`${this.url}/v1/locks?${query.toString()}`)
      if (!response.ok) throw new Error(`the lock server answered ${response.status}: ${await response.text()}`)
      const page = (await response.json()) as { locks: Restarted['records']; cursor?: string }
      records.push(...page.locks)
      cursor = page.cursor
    }
    return { type: 'restarted', at, answeredAt: nowMicros(), records }
  }

  /** The last that the process wrote. */
  get lastOutput(): string {
    return this.#process.stderr.text.slice(-4_000)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]()
  }
}

function startServer(listen: string, { data, compiled }: Folders): Promise<LayerlockProcess> {
  // Most of the time of a restart is loading sources, which Node keeps compiled there.
  const env = { NODE_COMPILE_CACHE: compiled }
  return startLockServer({ listen, store: 'sqlite', dataFolder: data, env })
}
