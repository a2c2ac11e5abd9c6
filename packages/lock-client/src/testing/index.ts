export { TestLockServer } from './test-lock-server.ts'
export type { AdvanceOptions, TestLockServerOptions } from './test-lock-server.ts'
