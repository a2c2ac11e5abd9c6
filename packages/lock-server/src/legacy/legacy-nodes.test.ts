import { expect, test } from 'vitest'
import { LegacyBed } from './legacy.testbed.ts'

const HOUR_MS = 3_600_000

async function nodesOf(bed: LegacyBed): Promise<string[]> {
  const { body } = await bed.send('GET', '/v1/nodes')
  return (body['nodes'] as { node: string }[]).map(({ node }) => node).toSorted()
}

test('a node has one session, however many calls of it arrive at once', async () => {
  await using bed = await LegacyBed.start()
  await Promise.all(Array.from({ length: 10 }, (_, index) => bed.lock('a', 'pull', `r${index}`)))
  await bed.restart()
  await bed.lock('a')
  expect(await nodesOf(bed)).toEqual(['a'])
})

test('a node that neither holds, waits nor references is forgotten after a while', async () => {
  await using bed = await LegacyBed.start()
  await bed.pull('references')
  await bed.lock('skips')
  expect(await nodesOf(bed)).toEqual(['references', 'skips'])
  await bed.clock.pass(2 * HOUR_MS + 1)
  expect(await nodesOf(bed)).toEqual(['references'])
  await bed.restart()
  expect(await nodesOf(bed)).toEqual(['references'])
  expect((await bed.lock('skips')).body).toMatchObject({ acquired: true })
})

test('a node that holds is not forgotten, and one that calls is not either', async () => {
  await using bed = await LegacyBed.start({ legacy: { retainMs: 60_000, holdMs: 100 * HOUR_MS } })
  await bed.acquire('holds')
  await bed.queue('waits')
  await bed.pull('calls', 'another')
  await bed.acquire('calls', 'delete', 'another')
  await bed.unlock('calls', {}, 'delete', 'another')
  for (let half = 0; half < 6; half++) {
    await bed.clock.pass(HOUR_MS / 2)
    await bed.status('calls')
  }
  expect(await nodesOf(bed)).toEqual(['calls', 'holds', 'waits'])
})

test('a status of a node that was never heard of opens no session for it', async () => {
  await using bed = await LegacyBed.start()
  expect(await bed.status('nobody')).toEqual({ acquired: false, completed: false, success: false })
  expect(await nodesOf(bed)).toEqual([])
})

test('a node that is silent for a year is gone, and its references with it', async () => {
  await using bed = await LegacyBed.start()
  await bed.pull('a')
  await bed.clock.pass(364 * 24 * HOUR_MS)
  expect((await bed.lock('b', 'delete')).status).toBe(403)
  await bed.clock.pass(2 * 24 * HOUR_MS)
  await bed.acquire('b', 'delete')
})
