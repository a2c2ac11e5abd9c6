import { ProtocolError } from './errors.ts'

/** The longest key, in bytes of UTF-8. */
export const KEY_MAX_BYTES = 512

declare const keyBrand: unique symbol
/** A checked key: 1 to 512 bytes of UTF-8 without control characters. Only {@link parseKey} makes one. */
export type Key = string & { readonly [keyBrand]: true }

/**
 * Checks a key.
 *
 * @throws {ProtocolError} `invalid_request` or `too_large`, naming what is wrong
 */
export function parseKey(text: string): Key {
  if (text.length === 0) throw new ProtocolError('invalid_request', 'key: must not be empty')
  // eslint-disable-next-line no-control-regex -- control characters are exactly what is refused here
  if (/[\u0000-\u001F\u007F-\u009F]/.test(text)) {
    throw new ProtocolError('invalid_request', `key: ${JSON.stringify(text)} must not contain control characters`)
  }
  if (!text.isWellFormed()) throw new ProtocolError('invalid_request', 'key: must be well-formed Unicode')
  // A UTF-16 code unit takes three bytes of UTF-8 at the most: short keys need not be counted.
  const bytes = text.length * 3 <= KEY_MAX_BYTES ? 0 : new TextEncoder().encode(text).length
  if (bytes > KEY_MAX_BYTES) {
    throw new ProtocolError('too_large', `key: has ${bytes} bytes, at most ${KEY_MAX_BYTES} are allowed`)
  }
  return text as Key
}
