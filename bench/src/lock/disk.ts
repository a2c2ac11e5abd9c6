import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { quantile } from './statistics.ts'

const WRITES = 50
const PAGE_BYTES = 4_096

/**
 * How long it takes to bring one page to the disk below a folder, in milliseconds: what durable answers wait for. The
 * page was there before, as in a log that is used again and again.
 */
export async function measureSync(folder: string): Promise<number> {
  const file = await open(join(folder, 'sync'), 'w')
  const samplesMs: number[] = []
  try {
    await file.write(Buffer.alloc(WRITES * PAGE_BYTES))
    await file.sync()
    for (let index = 0; index < WRITES; index++) {
      const startMs = performance.now()
      await file.write(Buffer.alloc(PAGE_BYTES, index), 0, PAGE_BYTES, index * PAGE_BYTES)
      await file.datasync()
      samplesMs.push(performance.now() - startMs)
    }
  } finally {
    await file.close()
  }
  return quantile(samplesMs, 0.5)
}
