import { expect, test } from 'vitest'
import { OciError, type OciErrorCode, parseOciErrorCode } from './oci-error.ts'

test.each<[OciErrorCode, number, boolean]>([
  ['BLOB_UNKNOWN', 404, true],
  ['DIGEST_INVALID', 400, true],
  ['MANIFEST_INVALID', 400, true],
  ['MANIFEST_UNKNOWN', 404, true],
  ['NAME_INVALID', 400, true],
  ['NAME_UNKNOWN', 404, true],
  ['SIZE_INVALID', 400, true],
  ['UNAUTHORIZED', 401, true],
  ['DENIED', 403, true],
  ['UNSUPPORTED', 405, true],
  ['TOOMANYREQUESTS', 429, false],
  ['UNKNOWN', 502, false],
])('%s is answered with %i; that asking again cannot help is %s', (code, status, permanent) => {
  const error = new OciError(code, 'why')
  expect(error).toMatchObject({ status, permanent, message: 'why', name: 'OciError' })
  expect(JSON.parse(JSON.stringify(error))).toEqual({ errors: [{ code, message: 'why' }] })
  expect(parseOciErrorCode(code)).toBe(code)
})

test.each(['', 'OTHER', 'constructor', 'toString', '__proto__'])('parseOciErrorCode() makes %j UNKNOWN', (code) => {
  expect(parseOciErrorCode(code)).toBe('UNKNOWN')
})

test('an error keeps its cause and when to try again', () => {
  const cause = new Error('below')
  expect(new OciError('TOOMANYREQUESTS', 'x', { cause, retryAfterMs: 5 })).toMatchObject({ cause, retryAfterMs: 5 })
})
