import { fork } from 'node:child_process'
import { join } from 'node:path'
import { TaskProcess } from '../task-process.ts'
import type { ContenderName } from './lock-user.ts'
import type { Reading, Task } from './task.ts'

interface WorkerOptions {
  readonly name: ContenderName
  readonly url: string
  readonly profileFolder?: string | undefined
}

/** The process of one contender's user, seen from here. */
export type WorkerProcess = TaskProcess<Task, Reading>

export function startWorkerProcess({ name, url, profileFolder }: WorkerOptions): Promise<WorkerProcess> {
  const profile = profileFolder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileFolder}`]
  const child = fork(join(import.meta.dirname, 'worker.ts'), [name, url], {
    execArgv: ['--expose-gc', ...profile],
    env: { ...process.env, NODE_OPTIONS: '' },
  })
  return TaskProcess.of(child, { name: "the user's process", timeoutMs: 120_000 })
}
