// A user's test: the lock client's own test server, and every name of that entry. Prints what it saw, as JSON.
import type { LockClient } from '@layerlock/client'
import { type AdvanceOptions, TestLockServer, type TestLockServerOptions } from '@layerlock/client/testing'
import { isExactly } from './exactly.ts'

const options: TestLockServerOptions = { tokens: ['secret'] }
await using server = await TestLockServer.start(options)
isExactly<string>()(server.url)
const locks: LockClient = server.client({ node: 'a', token: 'secret' })
// @ts-expect-error: the URL is the server's own
server.client({ url: 'http://127.0.0.1:7400', token: 'secret' })

const advancing: AdvanceOptions = { keepSessions: true }
await locks.once('report', () => Promise.resolve(1), { retainMs: 60_000 })
await server.advance(60_000, advancing)
const { value } = await locks.once('report', () => Promise.resolve(2))

server.failNext(1)
const { state } = await locks.poll('report')
server.goAway()
server.comeBack()
const lease = await locks.acquire('mutex')
await server.expireSessions(locks)

console.log(JSON.stringify({ value, state, lost: lease.signal.aborted }))
