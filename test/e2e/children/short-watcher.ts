/** Watches until the first event, leaves the loop, closes nothing. Argument: the server's URL. */
import { LockClient } from '@layerlock/client'

const locks = new LockClient({ url: process.argv[2], node: 'watcher' })
for await (const { type } of locks.watch('watched')) {
  process.stdout.write(`told: ${type}\n`)
  break
}
