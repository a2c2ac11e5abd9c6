/** Holds a lease, closes nothing, and has nothing more to do. Argument: the server's URL. */
import { LockClient } from '@layerlock/client'

const locks = new LockClient({ url: process.argv[2], node: 'idle' })
const lease = await locks.acquire('idle')
process.stdout.write(`held: ${lease.held}\n`)
