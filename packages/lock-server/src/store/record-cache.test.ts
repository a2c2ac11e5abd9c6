import { parseKey } from '@layerlock/protocol'
import { expect, test } from 'vitest'
import { createRecord } from '../core/record.ts'
import { RecordCache } from './record-cache.ts'

const keys = ['a', 'b', 'c', 'd'].map(parseKey)
const versioned = (version: number) => ({ version, record: createRecord(keys[0]!) })

test('RecordCache keeps the records that were set last, within its number', () => {
  const cache = new RecordCache({ records: 2, chars: 100 })
  for (const [index, key] of keys.entries()) cache.set(key, versioned(index), 1)
  expect(keys.map((key) => cache.get(key)?.version)).toEqual([undefined, undefined, 2, 3])
})

test('RecordCache drops records for one that is long, and does not keep one that is longer than all it may have', () => {
  const cache = new RecordCache({ records: 10, chars: 100 })
  cache.set(keys[0]!, versioned(0), 60)
  cache.set(keys[1]!, versioned(1), 30)
  cache.set(keys[0]!, versioned(2), 65)
  expect(keys.map((key) => cache.get(key)?.version)).toEqual([2, 1, undefined, undefined])
  cache.set(keys[2]!, versioned(3), 50)
  expect(keys.map((key) => cache.get(key)?.version)).toEqual([undefined, undefined, 3, undefined])
  cache.set(keys[3]!, versioned(4), 101)
  expect(cache.size).toBe(0)
  cache.set(keys[0]!, versioned(5), 100)
  expect(cache.get(keys[0]!)?.version).toBe(5)
})
