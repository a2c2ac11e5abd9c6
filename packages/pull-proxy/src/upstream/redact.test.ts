import { expect, test } from 'vitest'
import { redact } from './redact.ts'

const url = new URL('https://storage.test/blob?X-Signature=c2lnbmVk%2Bx&Expires=12')
const basic = `Basic ${Buffer.from('user:pass/word').toString('base64')}`
const shown = { authorizations: ['Bearer abc.def-ghi', basic], url }

test.each([
  ['the whole header', 'refused Bearer abc.def-ghi here', 'refused [redacted] here'],
  ['a token alone', 'token abc.def-ghi is old', 'token [redacted] is old'],
  ['the encoded password', `got ${basic.slice(6)}`, 'got [redacted]'],
  ['user and password', 'got user:pass/word!', 'got [redacted]!'],
  ['the password', 'got "pass/word"', 'got "[redacted]"'],
  ['the password in a URL', 'got pass%2Fword', 'got [redacted]'],
  ['a value of the query, decoded', 'signature c2lnbmVk+x is wrong', 'signature [redacted] is wrong'],
  ['the query', 'GET /blob?X-Signature=c2lnbmVk%2Bx&Expires=12', 'GET /blob?[redacted]'],
  ['credentials of somebody else', 'bearer eyJ0.x_y, Basic dTpw', 'bearer [redacted], Basic [redacted]'],
  ['user info of a URL', 'see https://me:secret@other.test/x', 'see https://other.test/x'],
  ['a signed URL', 'see "https://other.test/x?sig=1&a=b" now', 'see "https://other.test/x?[redacted]" now'],
])('redact() takes %s out', (_, text, expected) => {
  expect(redact(text, shown)).toBe(expected)
})

test('redact() leaves other words as they are', () => {
  const text = 'toomanyrequests: You have reached your pull rate limit. See https://www.docker.com/increase-rate-limit'
  expect(redact(text, shown)).toBe(text)
  expect(redact(text, { authorizations: ['', 'Basic '], url: new URL('https://x.test/?a=b') })).toBe(text)
})
