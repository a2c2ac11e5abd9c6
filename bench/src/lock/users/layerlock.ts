import { LockClient } from '@layerlock/client'
import type { LockUser } from '../lock-user.ts'

/** The most keys that one call about copies takes. */
const KEYS_PER_CALL = 1_000

/** `@layerlock/client` with its defaults. */
export async function connectLayerlock(url: string): Promise<LockUser> {
  const locks = new LockClient({ url, node: 'bench' })
  await locks.connect()
  return {
    prepare: () => Promise.resolve(),
    async acquire(key) {
      const lease = await locks.acquire(key)
      return () => lease.release()
    },
    waiting: async (key) => (await locks.poll(key)).queue.length,
    once: (key, work) => locks.once(key, work),
    async fill(records) {
      const keys = Array.from(
        { length: records },
        (_, index) => `bench/blobs/sha256:${index.toString(16).padStart(64, '0')}`,
      )
      for (let from = 0; from < records; from += KEYS_PER_CALL) {
        await locks.updateCopies({ add: keys.slice(from, from + KEYS_PER_CALL) })
      }
    },
    [Symbol.asyncDispose]: () => locks.close(),
  }
}
