import { expect, test } from 'vitest'
import { parseRepository } from '../oci/repository.ts'
import { createRegistryClient } from '../upstream/registry-client.testbed.ts'
import { ListCache } from './list-cache.ts'

test('a list counts with what it was asked for by, so that long queries do not fill the memory', async () => {
  await using upstream = createRegistryClient('http://127.0.0.1:1')
  const target = { upstream, repository: parseRepository('library/app') }
  const cache = new ListCache()
  let asked = 0
  const fetch = () => {
    asked++
    return Promise.resolve({ status: 200, headers: {}, body: Buffer.from('{}') })
  }
  const first = `tags/list?${'x'.repeat(100_000)}`
  await cache.get(target, first, fetch)
  await cache.get(target, first, fetch)
  expect(asked).toBe(1)
  // More than the cache holds, were only bodies counted it would hold thousands of them.
  for (let n = 0; n < 100; n++) await cache.get(target, `${first}${n}`, fetch)
  asked = 0
  await cache.get(target, first, fetch)
  expect(asked).toBe(1)
})
