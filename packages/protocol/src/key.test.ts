import { expect, test } from 'vitest'
import { KEY_MAX_BYTES, parseKey } from './key.ts'

test.each(['a', 'blob/sha256:0123', 'tag/docker.io/library/alpine:3', 'mit Leerzeichen', 'ü/\u{1F512}', '%2F?#', '..'])(
  'parseKey() takes %j as it is',
  (text) => {
    expect(parseKey(text)).toBe(text)
  },
)

test('parseKey() refuses an empty key', () => {
  expect(() => parseKey('')).toThrow('key: must not be empty')
})

test.each(['a\nb', '\u0000', 'a\u007F', 'a\u0085b', '\t'])(
  'parseKey() refuses control characters, as in %j',
  (text) => {
    expect(() => parseKey(text)).toThrow(expect.objectContaining({ code: 'invalid_request' }))
  },
)

test('parseKey() refuses half a surrogate pair, which is not UTF-8', () => {
  expect(() => parseKey('a\uD83D')).toThrow(expect.objectContaining({ code: 'invalid_request' }))
})

test('parseKey() counts bytes, not characters', () => {
  expect(parseKey('a'.repeat(KEY_MAX_BYTES))).toHaveLength(512)
  expect(parseKey('ü'.repeat(KEY_MAX_BYTES / 2))).toHaveLength(256)
  expect(() => parseKey('a'.repeat(KEY_MAX_BYTES + 1))).toThrow(/513 bytes, at most 512/)
  expect(() => parseKey('ü'.repeat(KEY_MAX_BYTES / 2) + 'a')).toThrow(expect.objectContaining({ code: 'too_large' }))
})
