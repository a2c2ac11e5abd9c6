/** What is used of redlock 4, whose own types (`@types/redlock`) know only ioredis 4. */
declare module 'redlock' {
  import type { Redis } from 'ioredis'

  class Redlock {
    constructor(
      clients: readonly Redis[],
      options: {
        readonly driftFactor: number
        /** -1: without end. */
        readonly retryCount: number
        readonly retryDelay: number
        readonly retryJitter: number
      },
    )
    acquire(resource: string, ttlMs: number): Promise<{ unlock(): Promise<void> }>
  }
  export = Redlock
}
