/**
 * A holder that writes its token into a file as long as it holds the lease, and whose event loop stands still for longer
 * than its session lives, once. Arguments: the server's URL, the file.
 */
import { appendFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { LockClient } from '@layerlock/client'

const STALL_MS = 1_500
const [url, file] = process.argv.slice(2)
await using locks = new LockClient({ url, node: 'stopped', sessionTtlMs: 1_000 })
const lease = await locks.acquire('stopped')
const write = () => appendFileSync(file!, `${lease.fencingToken}\n`)

/** No timer and no callback runs meanwhile, so that nothing but the clock can tell that the lease is lost. */
function standStill(): void {
  process.stdout.write('standing still\n')
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, STALL_MS)
}

try {
  for (let round = 0; ; round++) {
    if (round === 10) standStill()
    lease.assertHeld()
    write()
    await sleep(10)
  }
} catch (error) {
  process.stdout.write(`${error instanceof Error ? error.name : ''}, aborted: ${lease.signal.aborted}\n`)
}
