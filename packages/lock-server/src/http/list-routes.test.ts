import { expect, test } from 'vitest'
import { HttpBed } from './http.testbed.ts'

/** Keys in each state: `done/…` completed, `held/…` held, `wait/…` held with a waiter. */
async function bedWithKeys(): Promise<HttpBed> {
  const bed = await HttpBed.start()
  const [a, b] = [await bed.session('a'), await bed.session('b')]
  for (const name of ['done%2F1', 'done%2F2', 'held%2F1', 'wait%2F1', 'wait%2F2', 'wait%2F3']) {
    const { body } = await bed.acquire(a, `a-${name}`, {}, name)
    if (name.startsWith('wait')) await bed.acquire(b, `b-${name}`, {}, name)
    if (name.startsWith('done')) {
      const complete = { fencingToken: body['fencingToken'] }
      await bed.call('POST', `/v1/locks/${name}/complete`, { session: a, body: complete })
    }
  }
  return bed
}

async function keysOf(bed: HttpBed, query: string): Promise<{ keys: string[]; cursor: string | undefined }> {
  const { body } = await bed.call('GET', `/v1/locks${query}`)
  const { locks, cursor } = body as { locks: { key: string }[]; cursor?: string }
  return { keys: locks.map(({ key }) => key), cursor }
}

test('GET /v1/locks lists all records in the order of their keys', async () => {
  await using bed = await bedWithKeys()
  const all = ['done/1', 'done/2', 'held/1', 'wait/1', 'wait/2', 'wait/3']
  expect(await keysOf(bed, '')).toEqual({ keys: all, cursor: undefined })
})

test('GET /v1/locks picks by prefix and by state', async () => {
  await using bed = await bedWithKeys()
  expect((await keysOf(bed, '?prefix=wait/')).keys).toEqual(['wait/1', 'wait/2', 'wait/3'])
  expect((await keysOf(bed, '?state=done')).keys).toEqual(['done/1', 'done/2'])
  expect((await keysOf(bed, '?state=held')).keys).toEqual(['held/1'])
  expect((await keysOf(bed, '?state=queued&prefix=wait/2')).keys).toEqual(['wait/2'])
  expect((await keysOf(bed, '?state=failed')).keys).toEqual([])
})

test('GET /v1/locks gives pages of at most `limit`, with a cursor for the next one', async () => {
  await using bed = await bedWithKeys()
  const pages: string[][] = []
  let query = '?limit=2&state=queued'
  for (;;) {
    const { keys, cursor } = await keysOf(bed, query)
    pages.push(keys)
    if (cursor === undefined) break
    query = `?limit=2&state=queued&cursor=${cursor}`
  }
  expect(pages).toEqual([['wait/1', 'wait/2'], ['wait/3']])
})

test('GET /v1/locks shows neither sessions nor tickets', async () => {
  await using bed = await bedWithKeys()
  const { body } = await bed.call('GET', '/v1/locks?prefix=wait/1')
  expect(JSON.stringify(body)).not.toMatch(/a-wait|b-wait|session/)
  expect(body).toMatchObject({ locks: [{ state: 'queued', holders: [{ node: 'a' }], queue: [{ node: 'b' }] }] })
})

test.each([
  ['?state=odd', 'state'],
  ['?limit=0', 'limit'],
  ['?limit=ten', 'limit'],
  ['?limit=1001', 'limit: "1001" must be a whole number from 1 to 1,000'],
  ['?cursor=nonsense!', 'cursor: "nonsense!"'],
  ['?cursor=', 'cursor'],
  ['?cursor=AAAA', 'cursor'],
  ['?colour=red', 'colour'],
])('GET /v1/locks%s is refused, naming %s', async (query, field) => {
  await using bed = await HttpBed.start()
  const { status, body } = await bed.call('GET', `/v1/locks${query}`)
  expect(status).toBe(400)
  expect(body).toMatchObject({ error: { code: 'invalid_request', message: expect.stringContaining(field) as string } })
})
