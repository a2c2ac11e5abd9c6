import { join } from 'node:path'
import type { Contender } from './contender.ts'
import type { Reading, Task } from './task.ts'
import { startWorkerProcess, type WorkerProcess } from './worker-process.ts'

interface EntrantOptions {
  readonly folder: string
  readonly profileFolder?: string | undefined
}

/** A contender that runs: its server, and its user in a process of its own. */
export class Entrant implements AsyncDisposable {
  readonly contender: Contender
  readonly #url: string
  readonly #profileFolder: string | undefined
  readonly #parts: AsyncDisposableStack
  #worker: WorkerProcess | undefined

  private constructor(contender: Contender, url: string, parts: AsyncDisposableStack, profileFolder?: string) {
    this.contender = contender
    this.#url = url
    this.#parts = parts
    this.#profileFolder = profileFolder
  }

  static async start(contender: Contender, options: EntrantOptions): Promise<Entrant> {
    await using starting = new AsyncDisposableStack()
    const { folder, profileFolder } = options
    const server = await contender.start({ folder: join(folder, contender.name), profileFolder })
    starting.use(server.process)
    return new Entrant(contender, server.url, starting.move(), profileFolder)
  }

  /** Has its user carry out a task. After a failure the next task gets a new process: this one may be at it still. */
  async run(task: Task): Promise<Reading> {
    const { name } = this.contender
    this.#worker ??= await startWorkerProcess({ name, url: this.#url, profileFolder: this.#profileFolder })
    try {
      const reading = await this.#worker.run(task)
      if (reading.isSpent === true) await this.#stopWorker()
      return reading
    } catch (error) {
      await this.#stopWorker()
      throw error
    }
  }

  async #stopWorker(): Promise<void> {
    await this.#worker?.[Symbol.asyncDispose]()
    this.#worker = undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stopWorker()
    await this.#parts.disposeAsync()
  }
}
