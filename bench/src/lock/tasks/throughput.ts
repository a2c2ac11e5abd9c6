import { setTimeout as sleep } from 'node:timers/promises'
import type { LockUser } from '../lock-user.ts'
import type { Reading } from '../task.ts'

/** How long all loops run before counting begins, in milliseconds. */
const WARM_UP_MS = 200
/** Counting goes on for longer until each loop has come round so often, on average, but only that much longer. */
const LEAST_TURNS = 3
const GREATEST_STRETCH = 10

/**
 * As many loops as keys, each taking and giving back its own. Counted is what ends within a window in which all loops
 * run, so that neither their start nor their end counts.
 */
export async function throughput(
  user: LockUser,
  { run, keys, forMs }: { readonly run: string; readonly keys: number; readonly forMs: number },
): Promise<Reading> {
  await user.prepare(keys)
  let count = 0
  const over = new AbortController()
  const loop = async (_: unknown, place: number): Promise<void> => {
    while (!over.signal.aborted) {
      const release = await user.acquire(`many/${run}/${place}`, place)
      await release()
      count++
    }
  }
  /** Lets the loops run until they have done enough. */
  const pass = async (ms: number, least: number): Promise<void> => {
    const until = count + least
    for (let tries = 0; tries < GREATEST_STRETCH; tries++) {
      await sleep(ms)
      if (count >= until) return
    }
  }
  const loops = Promise.all(Array.from({ length: keys }, loop))
  const window = async () => {
    await pass(WARM_UP_MS, keys)
    const [countBefore, startMs] = [count, performance.now()]
    await pass(forMs, keys * LEAST_TURNS)
    const [done, tookMs] = [count - countBefore, performance.now() - startMs]
    over.abort()
    if (done === 0) throw new Error(`nothing was done in ${tookMs.toFixed(0)} ms`)
    return (done / tookMs) * 1_000
  }
  // A loop that fails ends the measurement at once.
  const [perSecond] = await Promise.all([window(), loops]).finally(() => over.abort())
  return { numbers: { perSecond } }
}
