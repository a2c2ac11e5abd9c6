import { Redis } from 'ioredis'
import { Mutex } from 'redis-semaphore'
import Redlock from 'redlock'
import type { LockUser } from '../lock-user.ts'

/** How long a lock outlives a holder that is gone, in milliseconds: both libraries' READMEs use this order of magnitude. */
const TTL_MS = 10_000
const PIPELINED = 1_000

/** redlock 4 with its documented defaults, but that it never gives up. */
export function connectRedlock(url: string): LockUser {
  const redis = new Redis(url)
  const redlock = new Redlock([redis], { driftFactor: 0.01, retryCount: -1, retryDelay: 200, retryJitter: 100 })
  return {
    ...lifeOf(redis),
    async acquire(key) {
      const lock = await redlock.acquire(key, TTL_MS)
      return async () => {
        await lock.unlock()
      }
    },
    async fill(records) {
      for (let from = 0; from < records; from += PIPELINED) {
        const pipeline = redis.pipeline()
        for (let index = from; index < Math.min(records, from + PIPELINED); index++) {
          pipeline.set(`bench/blobs/sha256:${index.toString(16).padStart(64, '0')}`, 'bench', 'PX', 600_000)
        }
        await pipeline.exec()
      }
    },
  }
}

/** redis-semaphore's Mutex with its defaults (it asks every 10 ms), but that it never gives up. */
export function connectRedisSemaphore(url: string): LockUser {
  const redis = new Redis(url)
  return {
    ...lifeOf(redis),
    async acquire(key) {
      const mutex = new Mutex(redis, key, { lockTimeout: TTL_MS, acquireTimeout: 600_000 })
      await mutex.acquire()
      return () => mutex.release()
    },
  }
}

function lifeOf(redis: Redis): Pick<LockUser, 'prepare' | typeof Symbol.asyncDispose> {
  return {
    prepare: () => Promise.resolve(),
    async [Symbol.asyncDispose]() {
      await redis.quit()
    },
  }
}
