import { fork } from 'node:child_process'
import { join } from 'node:path'
import { TaskProcess } from '../../task-process.ts'
import type { Reading, Task } from './task.ts'

/** The process that makes the load, seen from here. */
export type LoadProcess = TaskProcess<Task, Reading>

export function startLoadProcess(): Promise<LoadProcess> {
  const env = { ...process.env, NODE_OPTIONS: '' }
  const child = fork(join(import.meta.dirname, 'worker.ts'), { env, serialization: 'advanced' })
  return TaskProcess.of(child, { name: 'the process that makes the load', timeoutMs: 180_000 })
}
