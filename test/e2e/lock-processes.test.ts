import { appendFile, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { LockClient } from '@layerlock/client'
import { type LayerlockProcess, startLockServer, startProcess, temporaryFolder } from '@layerlock/test-support'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const CHILDREN = {
  stoppedHolder: fileURLToPath(new URL('children/stopped-holder.ts', import.meta.url)),
  idleHolder: fileURLToPath(new URL('children/idle-holder.ts', import.meta.url)),
  shortWatcher: fileURLToPath(new URL('children/short-watcher.ts', import.meta.url)),
}

describe('a process with a lock client', () => {
  let server: LayerlockProcess
  let locks: LockClient

  beforeAll(async () => {
    server = await startLockServer()
    locks = new LockClient({ url: server.url, node: 'test' })
  })
  afterAll(async () => {
    await locks.close()
    await server[Symbol.asyncDispose]()
  })

  function start(script: string, ...args: string[]) {
    return startProcess({ command: process.execPath, args: [script, server.url, ...args] })
  }

  test('that was stopped for longer than its session lives does nothing with its lease when it goes on', async () => {
    await using folder = await temporaryFolder('stopped')
    const file = join(folder.path, 'written')
    await using child = await start(CHILDREN.stoppedHolder, file)
    await child.waitForOutput(/standing still/)
    child.kill('SIGSTOP')
    const next = await locks.acquire('stopped')
    await appendFile(file, `${next.fencingToken}\n`)
    child.kill('SIGCONT')
    await child.waitForOutput(/LeaseLostError, aborted: true/)
    expect(await child.exited).toEqual({ code: 0, signal: null })
    const written = (await readFile(file, 'utf8')).trim().split('\n').map(Number)
    expect(written.length).toBeGreaterThanOrEqual(11)
    expect(written.at(-1)).toBe(next.fencingToken)
    expect(written.slice(0, -1).every((token) => token < next.fencingToken)).toBe(true)
    await next.release()
  })

  test('ends by itself although it holds a lease and closed nothing', async () => {
    await using child = await start(CHILDREN.idleHolder)
    expect(await child.exited).toEqual({ code: 0, signal: null })
    expect(child.stdout.text).toBe('held: true\n')
  })

  test('ends by itself after it has left a loop over watch()', async () => {
    await using child = await start(CHILDREN.shortWatcher)
    // Whether it watches yet is not to be seen from outside: touched until it has been told.
    while (child.exit === undefined) await (await locks.acquire('watched')).release()
    expect(await child.exited).toEqual({ code: 0, signal: null })
    expect(child.stdout.text).toMatch(/^told: \w+\n$/)
  })
})
