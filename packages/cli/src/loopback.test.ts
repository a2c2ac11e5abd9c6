import { expect, test } from 'vitest'
import { isLoopback } from './loopback.ts'

test.each(['127.0.0.1', '127.1.2.3', '::1', '[::1]', '0:0:0:0:0:0:0:1', '::ffff:127.0.0.1', 'localhost'])(
  'isLoopback() knows %s',
  (host) => {
    expect(isLoopback(host)).toBe(true)
  },
)

test.each(['0.0.0.0', '::', '10.0.0.1', '128.0.0.1', '127.0.0.1.example', '127.evil.example', 'localhost.example', ''])(
  'isLoopback() does not take %s for loopback',
  (host) => {
    expect(isLoopback(host)).toBe(false)
  },
)
