// A user's program: takes a lock server's URL, and prints what the lock client did there, as JSON.
import { LeaseLostError, LockClient, LockTimeoutError } from '@layerlock/client'

const url = process.argv[2]
const locks = new LockClient({ url, node: `node-${process.version}` })
const other = new LockClient({ url, node: 'other' })
// The server outlives this program's runs; the keys are each run's own.
const key = (name: string) => `${name}/${process.version}`

let lost: unknown
let timedOut: unknown
let busy: boolean
{
  await using lease = await locks.acquire(key('mutex'), { timeoutMs: 5_000 })
  lease.assertHeld()
  busy = (await other.tryAcquire(key('mutex'))) === undefined
  timedOut = await other.acquire(key('mutex'), { timeoutMs: 50 }).catch((error: unknown) => error)
  await lease.release()
  lost = await lease.complete().catch((error: unknown) => error)
}
const first = await locks.once(key('once'), async (lease) => ({ token: lease.fencingToken > 0, held: lease.held }))
const second = await other.once(key('once'), () => Promise.reject(new Error('the work was done already')))

await using after = await other.tryAcquire(key('mutex'))
const free = after !== undefined
await after?.release()
await locks.close()
await other.close()

console.log(
  JSON.stringify({
    busy,
    timedOut: timedOut instanceof LockTimeoutError,
    lost: lost instanceof LeaseLostError,
    free,
    first,
    second,
  }),
)
