import { BATCH_MAX_OPS } from '@layerlock/protocol'
import { expect, test, vi } from 'vitest'
import { ServiceBed } from '../service/service.testbed.ts'
import { HttpBed } from './http.testbed.ts'

interface BatchAnswer {
  readonly status?: string
  readonly fencingToken?: number
  readonly error?: { readonly code: string; readonly message: string }
}

async function batch(bed: HttpBed, session: string, ops: unknown): Promise<BatchAnswer[]> {
  const { body } = await bed.call('POST', '/v1/batch', { session, body: { ops } })
  return body['answers'] as BatchAnswer[]
}

const acquire = (key: string, ticket = `${key}1`) => ({ op: 'acquire', key, ticket })

test('a batch answers each operation in its place, as its own call would have', async () => {
  await using bed = await HttpBed.start()
  const [a, b] = [await bed.session('a'), await bed.session('b')]
  const [one, two, again, queued] = await batch(bed, a, [
    acquire('k1'),
    acquire('k2'),
    acquire('k1'),
    acquire('k1', 'x'),
  ])
  expect(one).toMatchObject({ status: 'granted', attempt: 1 })
  expect(two).toMatchObject({ status: 'granted' })
  expect(again).toEqual(one)
  expect(queued).toMatchObject({ status: 'queued', position: 1, holder: { node: 'a' } })
  const ended = await batch(bed, a, [
    { op: 'complete', key: 'k1', fencingToken: one?.fencingToken, value: { n: 1 } },
    { op: 'progress', key: 'k2', fencingToken: two?.fencingToken, done: 1, total: 2 },
    { op: 'fail', key: 'k2', fencingToken: two?.fencingToken, error: { code: 'c', message: 'm' } },
    { op: 'cancel', key: 'k3', ticket: 'k31' },
    acquire('k3'),
  ])
  expect(ended.slice(0, 4)).toEqual([{ ok: true }, { ok: true }, { ok: true }, { ok: true }])
  expect(ended[4]?.error?.code).toBe('lease_lost')
  expect(await batch(bed, b, [acquire('k1'), acquire('k2')])).toMatchObject([
    { status: 'done', value: { n: 1 }, by: { node: 'a' } },
    { status: 'granted', attempt: 2, lastError: { code: 'c' } },
  ])
})

test('a batch refuses what is wrong with one operation without a loss for the others', async () => {
  await using bed = await HttpBed.start({ limits: { maxValueBytes: 10 } })
  const session = await bed.session('a')
  const wrong: readonly (readonly [unknown, string, RegExp])[] = [
    [5, 'invalid_request', /^op: undefined is not one of acquire, complete, fail, release, cancel, progress$/],
    [{ op: 'toString', key: 'k' }, 'invalid_request', /^op: "toString" is not one of/],
    [{ ...acquire('k'), waitMs: 5 }, 'invalid_request', /^waitMs: is not a known field$/],
    [{ ...acquire('k'), ticket: '' }, 'invalid_request', /^ticket: ""/],
    [{ op: 'acquire', ticket: 't' }, 'invalid_request', /key/],
    [acquire('a\nb', 't'), 'invalid_request', /^key: .* control characters$/],
    [acquire('k'.repeat(513), 't'), 'too_large', /^key: has 513 bytes/],
    [{ op: 'release', key: 'k', fencingToken: 7 }, 'lease_lost', /^fencingToken: 7/],
  ]
  const answers = await batch(bed, session, [acquire('first'), ...wrong.map(([op]) => op), acquire('last')])
  expect(answers.at(0)).toMatchObject({ status: 'granted' })
  expect(answers.at(-1)).toMatchObject({ status: 'granted' })
  for (const [index, [, code, message]] of wrong.entries()) {
    expect(answers[index + 1]?.error?.code).toBe(code)
    expect(answers[index + 1]?.error?.message).toMatch(message)
  }
  const { fencingToken } = answers[0]!
  const [large] = await batch(bed, session, [
    { op: 'complete', key: 'first', fencingToken, value: 'more than ten bytes' },
  ])
  expect(large?.error).toMatchObject({
    code: 'too_large',
    message: 'value: has 21 bytes as JSON, at most 10 are allowed',
  })
})

test('a batch that is wrong as a whole is refused as a whole', async () => {
  await using bed = await HttpBed.start()
  const session = await bed.session('a')
  const tooMany = Array.from({ length: BATCH_MAX_OPS + 1 }, (_, index) => acquire(`k${index}`))
  const bodies = [{ ops: tooMany }, { ops: 'x' }, {}, [], { ops: [], more: 1 }]
  for (const body of bodies) {
    const answer = await bed.call('POST', '/v1/batch', { session, body })
    expect(answer).toMatchObject({ status: 400, body: { error: { code: 'invalid_request' } } })
  }
  expect(await bed.call('POST', '/v1/batch', { body: { ops: [] } })).toMatchObject({ status: 400 })
  expect(await bed.call('POST', '/v1/batch', { session: 'no-such', body: { ops: [] } })).toMatchObject({ status: 410 })
  expect((await bed.call('GET', '/v1/locks')).body['locks']).toEqual([])
  expect(await batch(bed, session, [])).toEqual([])
  expect(await batch(bed, session, tooMany.slice(1))).toHaveLength(BATCH_MAX_OPS)
})

test('a batch costs one write for each key, however many operations there are for it', async () => {
  const service = await ServiceBed.open()
  await using bed = await HttpBed.over(service.service)
  const session = await bed.session('a')
  await batch(bed, session, [acquire('k', 't0')])
  const before = service.store.swaps
  const ops = Array.from({ length: 100 }, (_, index) => acquire('k', `t${index + 1}`))
  expect((await batch(bed, session, ops)).map(({ status }) => status)).toEqual(ops.map(() => 'queued'))
  // The first runs alone, and the others queue up behind it.
  expect(service.store.swaps - before).toBeLessThanOrEqual(2)
})

test('a batch answers overloaded for an operation that fails unexpectedly, and goes on with the others', async () => {
  const { service } = await ServiceBed.open()
  await using bed = await HttpBed.over(service)
  const session = await bed.session('a')
  vi.spyOn(service, 'acquire').mockRejectedValueOnce(new RangeError('an inner secret'))
  const [failed, granted] = await batch(bed, session, [acquire('k1'), acquire('k2')])
  expect(failed).toEqual({ error: { code: 'overloaded', message: expect.not.stringContaining('secret') as string } })
  expect(granted).toMatchObject({ status: 'granted' })
})
