import { type Key, parseKey } from '@layerlock/protocol'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { compareKeys } from './key-order.ts'
import { SortedKeys } from './sorted-keys.ts'

const byBytes = (one: string, other: string) => Buffer.compare(Buffer.from(one), Buffer.from(other))
const texts = fc.string({ unit: fc.constantFrom('a', 'b', '/', '\uFFFD', '\u{1F512}', '\uE000'), maxLength: 4 })

/** Few enough that they come and go. */
const few = fc.constantFrom('a', 'a/', 'b', 'b/\uFFFD', 'b/\u{1F512}', 'c', 'd', 'e', 'f', 'g')

test('compareKeys() orders text as its UTF-8 bytes are ordered', () => {
  const property = fc.property(texts, texts, (one, other) => {
    expect(Math.sign(compareKeys(one, other))).toBe(byBytes(one, other))
  })
  fc.assert(property, { numRuns: 500 })
})

test('SortedKeys gives the same pages as keys that are sorted anew for each', () => {
  const look = fc.record({ prefix: texts, after: fc.option(texts, { nil: undefined }), limit: fc.nat(5) })
  const steps = fc.array(fc.oneof(few, look), { maxLength: 60 })
  const property = fc.property(steps, (sequence) => {
    const sorted = new SortedKeys()
    const all = new Set<Key>()
    const pages: { readonly got: readonly Key[]; readonly wanted: readonly Key[] }[] = []
    for (const step of sequence) {
      if (typeof step === 'object') {
        const { prefix, after, limit } = step
        const wanted = [...all].filter(
          (key) => key.startsWith(prefix) && (after === undefined || byBytes(key, after) > 0),
        )
        pages.push({ got: sorted.page(prefix, after, limit), wanted: wanted.toSorted(byBytes).slice(0, limit) })
      } else {
        const key = parseKey(step)
        if (all.delete(key)) {
          sorted.remove(key)
        } else {
          all.add(key)
          sorted.add(key)
        }
      }
    }
    expect(pages.map(({ got }) => got)).toEqual(pages.map(({ wanted }) => wanted))
  })
  fc.assert(property, { numRuns: 500 })
})
