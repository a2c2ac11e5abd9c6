// A user's program: a lock server of its own that keeps its state in a file, which it opens a second time.
import { LockClient } from '@layerlock/client'
import { LockServer, SqliteLockStore } from '@layerlock/server'

const file = process.argv[2]!
const values: unknown[] = []
for (const value of ['first', 'second']) {
  await using server = await LockServer.start({ host: '127.0.0.1', port: 0, store: SqliteLockStore.open(file) })
  await using locks = new LockClient({ url: server.url })
  values.push((await locks.once('what-ran', () => Promise.resolve(value))).value)
}
console.log(JSON.stringify(values))
