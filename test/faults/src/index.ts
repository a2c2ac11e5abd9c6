export { createRandom } from '@layerlock/test-support'

export { checkHistory } from './check-history.ts'
export type { Entry } from './entry.ts'
export { readHistory } from './history.ts'
export type { Task } from './task.ts'
export type { Violation } from './violation.ts'
export { Worker } from './worker.ts'
