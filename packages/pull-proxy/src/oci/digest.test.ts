import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createDigestHash, digestOf, digestParts, isDigest, parseDigest } from './digest.ts'
import { thrownBy } from '../failure-of.testbed.ts'
import { OciError } from './oci-error.ts'

/** Any UTF-16 code unit. */
const anyUnit = fc.nat(0xffff).map((code) => String.fromCharCode(code))

const sha256 = `sha256:${'a1'.repeat(32)}`
const sha512 = `sha512:${'b2'.repeat(64)}`

describe('parseDigest()', () => {
  test.each([sha256, sha512])('takes %s', (text) => {
    expect(parseDigest(text)).toBe(text)
    expect(isDigest(text)).toBe(true)
  })

  test.each([
    '',
    'sha256:',
    'sha256',
    sha256.toUpperCase(),
    sha256.replace('a1', 'A1'),
    sha256.slice(0, -1),
    `${sha256}0`,
    `${sha256}\n`,
    ` ${sha256}`,
    sha256.replace('sha256', 'sha512'),
    sha256.replace('sha256', 'md5'),
    `constructor:${'a'.repeat(64)}`,
    `__proto__:${'a'.repeat(64)}`,
    `sha256:${'g'.repeat(64)}`,
    `sha256:../${'a'.repeat(61)}`,
  ])('refuses %j', (text) => {
    expect(() => parseDigest(text)).toThrow(expect.objectContaining({ code: 'DIGEST_INVALID' }))
    expect(isDigest(text)).toBe(false)
  })

  test('throws nothing but OciError, with a message of bounded length', () => {
    fc.assert(
      fc.property(fc.string({ unit: anyUnit, maxLength: 1_000 }), (text) => {
        const error = thrownBy(() => parseDigest(text))
        expect(error === undefined || error instanceof OciError).toBe(true)
        expect(String(error).length).toBeLessThan(1_500)
      }),
    )
  })
})

test('digestParts() takes a digest apart', () => {
  expect(digestParts(parseDigest(sha512))).toEqual({ algorithm: 'sha512', hex: 'b2'.repeat(64) })
})

test('digestOf() and createDigestHash() compute what the digest says', () => {
  const abc = digestOf(Buffer.from('abc'))
  expect(abc).toBe('sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
  expect(createDigestHash(abc).update('abc').digest('hex')).toBe(digestParts(abc).hex)
  expect(createDigestHash(parseDigest(sha512)).digest('hex')).toHaveLength(128)
})
