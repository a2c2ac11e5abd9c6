import type { LockUser } from '../lock-user.ts'
import type { Reading } from '../task.ts'

interface Options {
  readonly run: string
  readonly forMs: number
}

/** The first part of each run is not counted: connections open, code is compiled, caches fill. */
const WARM_UP_SHARE = 0.2

/** One caller takes and gives back one free lock, again and again. */
export async function sequential(user: LockUser, { run, forMs }: Options): Promise<Reading> {
  await user.prepare(1)
  return timed(forMs, async () => {
    const release = await user.acquire(`seq/${run}`, 0)
    await release()
  })
}

/** One caller does work that nobody has done yet, on another key each time, and leaves its value. */
export async function sequentialOnce(user: LockUser, { run, forMs }: Options): Promise<Reading> {
  return timed(forMs, async (count) => {
    const result = await user.once?.(`once/${run}/${count}`, () => Promise.resolve(count))
    if (result?.ran !== true) throw new Error('work on a fresh key was not run')
  })
}

async function timed(forMs: number, act: (count: number) => Promise<void>): Promise<Reading> {
  const samplesMs: number[] = []
  const startMs = performance.now()
  const countedFromMs = startMs + forMs * WARM_UP_SHARE
  const endMs = startMs + forMs * (1 + WARM_UP_SHARE)
  let beforeMs = startMs
  for (let count = 0; beforeMs < endMs; count++) {
    await act(count)
    const afterMs = performance.now()
    if (beforeMs >= countedFromMs) samplesMs.push(afterMs - beforeMs)
    beforeMs = afterMs
  }
  return { samplesMs }
}
