import { join } from 'node:path'
import { temporaryFolder } from '@layerlock/test-support'
import { expect, test } from 'vitest'
import { ServerUnderTest } from './server-under-test.ts'
import { mountSmallDisk } from './small-disk.ts'
import { type Refusal, WireClient } from './wire-client.ts'

const DISK_BYTES = 8 * 1024 * 1024
/** How much of it is given back later. */
const BALLAST_BYTES = 4 * 1024 * 1024
const VALUE = 'x'.repeat(30_000)

test('a server whose disk is full says so, loses nothing that it answered, and goes on when there is room', async ({
  skip,
}) => {
  await using folder = await temporaryFolder('full-disk')
  await using disk = await mountSmallDisk(folder.path, DISK_BYTES)
  if (disk === undefined) return skip('a small disk cannot be mounted here')
  await disk.takeRoom(BALLAST_BYTES)
  await using server = await ServerUnderTest.start({
    data: join(disk.path, 'data'),
    compiled: join(folder.path, 'compiled'),
  })
  const client = await WireClient.open(server.url)

  const held = await client.acquire('held')
  const { outcomes, refusal, unfinished } = await fill(client)
  expect(refusal).toEqual({ status: 503, code: 'overloaded', retryAfter: expect.stringMatching(/^\d+$/) })
  expect(outcomes.size).toBeGreaterThan(10)

  await disk.giveRoom()
  // What was refused has not happened, and can be said again.
  if (unfinished !== undefined) await client.complete(unfinished.key, unfinished.token, VALUE)
  expect(await client.acquire('later')).toBeGreaterThan(Math.max(held, ...outcomes.values()))
  expect(await unknown(server, outcomes)).toEqual([])

  await server.restart('SIGKILL')
  expect(await unknown(server, outcomes)).toEqual([])
  await client.complete('held', held, 'done')
})

test('a server that was killed while its disk is full has everything again when there is room', async ({ skip }) => {
  await using folder = await temporaryFolder('full-disk')
  await using disk = await mountSmallDisk(folder.path, DISK_BYTES)
  if (disk === undefined) return skip('a small disk cannot be mounted here')
  await disk.takeRoom(BALLAST_BYTES)
  const folders = { data: join(disk.path, 'data'), compiled: join(folder.path, 'compiled') }
  await using server = await ServerUnderTest.start(folders)
  const client = await WireClient.open(server.url)
  const { outcomes } = await fill(client)

  await server.end('SIGKILL')
  // Whether it can start without any room is SQLite's business; if not, it says why.
  const start = await server.startAgain().then(
    () => 'started',
    (error: unknown) => String(error),
  )
  expect(start).toMatch(/^started$|the disk is full/)
  await server.end('SIGKILL')
  await disk.giveRoom()
  await server.startAgain()
  expect(await unknown(server, outcomes)).toEqual([])
  expect(await client.acquire('later')).toBeGreaterThan(Math.max(...outcomes.values()))
})

/** Leaves outcomes until one is refused. */
async function fill(client: WireClient) {
  const outcomes = new Map<string, number>()
  for (let index = 0; index < 10_000; index++) {
    const key = `k${index}`
    let token: number | undefined
    try {
      token = await client.acquire(key)
      await client.complete(key, token, VALUE)
      outcomes.set(key, token)
    } catch (error) {
      return { outcomes, refusal: error as Refusal, unfinished: token === undefined ? undefined : { key, token } }
    }
  }
  throw new Error('the disk does not get full')
}

/** The outcomes that the server should have and has not. */
async function unknown(server: ServerUnderTest, outcomes: ReadonlyMap<string, number>): Promise<string[]> {
  const { records } = await server.look('k')
  const known = new Map(records.map(({ key, outcome }) => [key, outcome?.fencingToken]))
  return [...outcomes].filter(([key, token]) => known.get(key) !== token).map(([key]) => key)
}
