import type { ChildProcess, Serializable } from 'node:child_process'
import { once } from 'node:events'

interface Message<Reading> {
  readonly ready?: true
  readonly reading?: Reading
  readonly failure?: string
}

interface TaskProcessOptions {
  /** What it is called in errors. */
  readonly name: string
  /** How long a task may take at the most, in milliseconds. */
  readonly timeoutMs: number
}

/** A forked process that carries out tasks and tells what it has read. It says so when it is ready for the first one. */
export class TaskProcess<Task extends Serializable, Reading> implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #options: TaskProcessOptions

  private constructor(child: ChildProcess, options: TaskProcessOptions) {
    this.#child = child
    this.#options = options
  }

  /** Waits until a process is ready. */
  static async of<T extends Serializable, R>(
    child: ChildProcess,
    options: TaskProcessOptions,
  ): Promise<TaskProcess<T, R>> {
    const started = new TaskProcess<T, R>(child, options)
    await started.#answer()
    return started
  }

  /** Has a task carried out. @throws Error with what it failed with */
  async run(task: Task): Promise<Reading> {
    const answer = this.#answer()
    this.#child.send(task)
    const { reading, failure } = await answer
    if (reading === undefined) throw new Error(failure)
    return reading
  }

  async #answer(): Promise<Message<Reading>> {
    const { name, timeoutMs } = this.#options
    const over = new AbortController()
    const signal = AbortSignal.any([over.signal, AbortSignal.timeout(timeoutMs)])
    try {
      const ended = once(this.#child, 'exit', { signal }).then(([code]) => {
        throw new Error(`${name} ended with ${String(code)}`)
      })
      const [message] = (await Promise.race([once(this.#child, 'message', { signal }), ended])) as [Message<Reading>]
      return message
    } finally {
      over.abort()
    }
  }

  /** Lets it end by itself, which it does when nobody is connected any more, and kills it if that takes long. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const exited = once(this.#child, 'exit')
    this.#child.disconnect()
    const kill = setTimeout(() => this.#child.kill('SIGKILL'), 5_000)
    await exited
    clearTimeout(kill)
  }
}
