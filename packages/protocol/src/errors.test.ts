import { expect, test } from 'vitest'
import { ERROR_CODES, isErrorCode, ProtocolError } from './errors.ts'

test('ERROR_CODES has a status of an error, and a meaning that is a sentence, for each code', () => {
  for (const [code, { status, meaning }] of Object.entries(ERROR_CODES)) {
    expect(code).toMatch(/^[a-z_]+$/)
    expect(status).toBeGreaterThanOrEqual(400)
    expect(status).toBeLessThan(600)
    expect(meaning).toMatch(/^[A-Z].*\.$/)
  }
})

test('ERROR_CODES says of what passes by itself, and of nothing else, that it can be tried again', () => {
  const retryable = Object.entries(ERROR_CODES).filter(([, { retryable: is }]) => is)
  expect(retryable.map(([code]) => code)).toEqual(['queue_full', 'overloaded'])
})

test('isErrorCode() knows the codes, and is not taken in by what objects inherit', () => {
  expect(isErrorCode('lease_lost')).toBe(true)
  for (const value of ['toString', '__proto__', 'LEASE_LOST', '', undefined, 409])
    expect(isErrorCode(value)).toBe(false)
})

test('ProtocolError has the status of its code', () => {
  const cause = new Error('below')
  const error = new ProtocolError('in_use', 'key: is in use', { cause })
  expect(error).toMatchObject({ name: 'ProtocolError', code: 'in_use', status: 409, message: 'key: is in use', cause })
})
