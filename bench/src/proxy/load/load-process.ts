import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Reading, Task } from './task.ts'

/** How long a task may take at the most, in milliseconds. */
const TASK_TIMEOUT_MS = 180_000

interface Message {
  readonly ready?: true
  readonly reading?: Reading
  readonly failure?: string
}

/** The process that makes the load, seen from here. */
export class LoadProcess implements AsyncDisposable {
  readonly #child: ChildProcess

  private constructor(child: ChildProcess) {
    this.#child = child
  }

  static async start(): Promise<LoadProcess> {
    const env = { ...process.env, NODE_OPTIONS: '' }
    const load = new LoadProcess(fork(join(import.meta.dirname, 'worker.ts'), { env, serialization: 'advanced' }))
    await load.#answer()
    return load
  }

  /** Has a task carried out. @throws Error with what it failed with */
  async run(task: Task): Promise<Reading> {
    const answer = this.#answer()
    this.#child.send(task)
    const { reading, failure } = await answer
    if (reading === undefined) throw new Error(failure)
    return reading
  }

  async #answer(): Promise<Message> {
    const over = new AbortController()
    const signal = AbortSignal.any([over.signal, AbortSignal.timeout(TASK_TIMEOUT_MS)])
    try {
      const ended = once(this.#child, 'exit', { signal }).then(([code]) => {
        throw new Error(`the process that makes the load ended with ${String(code)}`)
      })
      const [message] = (await Promise.race([once(this.#child, 'message', { signal }), ended])) as [Message]
      return message
    } finally {
      over.abort()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const exited = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await exited
  }
}
