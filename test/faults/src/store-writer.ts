import { appendFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { SessionRef } from '../../../packages/lock-server/src/core/record.ts'
import type { StoredSession } from '../../../packages/lock-server/src/store/lock-store.ts'
import { SqliteLockStore } from '../../../packages/lock-server/src/store/sqlite-lock-store.ts'
import { createRandom, type Random } from '@layerlock/test-support'
import { drawRecord, STORE_KEYS, type StoreReport } from './store-report.ts'

/** Changes a store as fast as it can and reports what was promised, until it is killed. */
const [path = '', reportPath = '', seed = ''] = process.argv.slice(2)
const store = SqliteLockStore.open(path)
let count = 0
let token = (await store.greatestToken()) + 1

await Promise.all([
  ...STORE_KEYS.map((key, index) => changeRecords(key, createRandom(Number(seed), 'key', index))),
  changeSessions(createRandom(Number(seed), 'sessions')),
])

async function changeRecords(key: (typeof STORE_KEYS)[number], random: Random): Promise<void> {
  for (;;) {
    const before = await store.read(key)
    const expectedVersion = before?.version ?? 0
    const record = drawRecord(random, key, before?.record, ++token)
    const id = ++count
    report({ type: 'swap', id, key, expectedVersion, record })
    if (await store.swap(key, expectedVersion, record)) report({ type: 'promised', id })
    if (random.chance(0.3)) await sleep(random.between(0, 2))
  }
}

async function changeSessions(random: Random): Promise<void> {
  for (;;) {
    const name = `s${random.between(0, 3)}`
    const session: StoredSession = {
      id: name,
      ref: name as SessionRef,
      node: 'n',
      ttlMs: count,
      labels: {},
      openedMs: 0,
    }
    const id = ++count
    const type = random.chance(0.6) ? 'save' : 'delete'
    report({ type, id, session })
    await (type === 'save' ? store.saveSession(session) : store.deleteSession(session.id))
    report({ type: 'promised', id })
    await sleep(random.between(0, 2))
  }
}

/** By one write to a file: the kernel has it however this process ends. */
function report(line: StoreReport): void {
  appendFileSync(reportPath, `${JSON.stringify(line)}\n`)
}
