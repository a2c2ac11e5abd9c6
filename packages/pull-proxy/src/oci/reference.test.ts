import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { thrownBy } from '../failure-of.testbed.ts'
import { OciError } from './oci-error.ts'
import { parseReference } from './reference.ts'

/** Any UTF-16 code unit. */
const anyUnit = fc.nat(0xffff).map((code) => String.fromCharCode(code))

const digest = `sha256:${'a'.repeat(64)}`

test.each(['latest', 'v1.2.3', '_x', 'A-b_c.d', '0', 'a'.repeat(128), `sha256-${'a'.repeat(64)}`])(
  'parseReference() takes the tag %s',
  (tag) => {
    expect(parseReference(tag)).toEqual({ kind: 'tag', tag })
  },
)

test('parseReference() takes a digest', () => {
  expect(parseReference(digest)).toEqual({ kind: 'digest', digest })
})

test.each(['', '.x', '-x', 'a/b', 'a:b', 'a b', 'a\n', '..', 'sha256:123', 'a'.repeat(129)])(
  'parseReference() refuses %j',
  (text) => {
    expect(() => parseReference(text)).toThrow(expect.objectContaining({ code: 'MANIFEST_INVALID' }))
  },
)

test('parseReference() throws nothing but OciError', () => {
  fc.assert(
    fc.property(fc.string({ unit: anyUnit }), (text) => {
      const error = thrownBy(() => parseReference(text))
      expect(error === undefined || error instanceof OciError).toBe(true)
    }),
  )
})
