import { expect, test } from 'vitest'
import { LegacyBed } from './legacy.testbed.ts'

const KEY = '/v1/locks/legacy%2Fr'

/** Opens a session of version 1; gives back how it calls. */
async function session(bed: LegacyBed, node: string) {
  const { body } = await bed.send('POST', '/v1/sessions', { node })
  const headers = { 'layerlock-session': String(body['id']) }
  return (path: string, sent: unknown) => bed.send('POST', path, sent, headers)
}

test('an old node and a session of version 1 on other keys do not disturb each other', async () => {
  await using bed = await LegacyBed.start()
  const call = await session(bed, 'new')
  const { body } = await call('/v1/locks/r/acquire', { ticket: 't' })
  expect(body).toMatchObject({ status: 'granted' })
  await bed.acquire('old')
  await bed.queue('older')
  await bed.unlock('old', { error: 'no luck' })
  expect(await call('/v1/locks/r/complete', { fencingToken: body['fencingToken'] })).toMatchObject({ status: 200 })
  expect(await bed.status('older')).toEqual({ acquired: true, completed: false, success: false })
  expect((await call('/v1/locks/r/acquire', { ticket: 'u' })).body).toMatchObject({ status: 'done' })
})

test('a session of version 1 takes part with old nodes through the key of the resource', async () => {
  await using bed = await LegacyBed.start()
  const call = await session(bed, 'new')
  const { body } = await call(`${KEY}/acquire`, { ticket: 't' })
  await bed.queue('old')
  const subscription = await bed.subscribe()
  await call(`${KEY}/fail`, { fencingToken: body['fencingToken'], error: { code: 'x', message: 'no luck' } })
  expect(await subscription.until(2)).toMatchObject([
    { node_id: 'new', success: false, error: 'no luck' },
    { node_id: 'old', success: false },
  ])
  expect((await call(`${KEY}/acquire`, { ticket: 'u' })).body).toMatchObject({ status: 'queued' })
  await bed.unlock('old')
  expect((await call(`${KEY}/acquire`, { ticket: 'u' })).body).toMatchObject({ status: 'done', by: { node: 'old' } })
})

test('an old node skips what a session of version 1 has completed', async () => {
  await using bed = await LegacyBed.start()
  const call = await session(bed, 'new')
  const { body } = await call(`${KEY}/acquire`, { ticket: 't' })
  const subscription = await bed.subscribe()
  await call(`${KEY}/complete`, { fencingToken: body['fencingToken'] })
  expect(await subscription.until(1)).toMatchObject([{ type: 'pull', node_id: 'new', success: true }])
  expect((await bed.lock('old')).body).toMatchObject({ acquired: false, skip: true })
})

test('POST /lock says why when all are refused, and the node is in no queue', async () => {
  await using bed = await LegacyBed.start()
  const call = await session(bed, 'new')
  const { body } = await call(`${KEY}/acquire`, { ticket: 't' })
  const failure = { fencingToken: body['fencingToken'], error: { code: 'x', message: 'it is broken' }, permanent: true }
  await call(`${KEY}/fail`, failure)
  const refused = { acquired: false, skip: false, message: expect.stringContaining('it is broken') }
  expect(await bed.lock('old')).toEqual({ status: 200, body: { ...refused, error: 'it is broken' } })
  expect((await bed.record())['queue']).toEqual([])
  await bed.clock.pass(10_001)
  expect((await bed.lock('old')).body).toMatchObject({ acquired: true })
})

test('an operator ends an outcome, and references, by the key', async () => {
  await using bed = await LegacyBed.start()
  await bed.pull('a')
  await bed.send('DELETE', `${KEY}/outcome`)
  await bed.acquire('b')
  await bed.unlock('b', { error: 'no luck' })
  expect((await bed.lock('b', 'delete')).status).toBe(403)
  await bed.send('DELETE', '/v1/locks/legacy-ref%2Fr/outcome')
  await bed.acquire('b', 'delete')
})
