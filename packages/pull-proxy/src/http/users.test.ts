import { hash } from '@node-rs/bcrypt'
import { beforeAll, describe, expect, test } from 'vitest'
import { costliestOf, parseUsers } from './users.ts'

const hashes: Record<string, string> = {}

beforeAll(async () => {
  hashes['2y'] = await hash('secret', { cost: 4, version: '2y' })
  hashes['2b'] = await hash('secret', { cost: 5, version: '2b' })
})

describe('parseUsers()', () => {
  test('reads lines of htpasswd, and passes over empty ones and comments', () => {
    const users = parseUsers(['# people', '', `ann:${hashes['2y']}\r`, '  ', `bob:${hashes['2b']}`, ''])
    expect([...users]).toEqual([
      ['ann', hashes['2y']],
      ['bob', hashes['2b']],
    ])
  })

  test.each([
    ['a hash of MD5', '$apr1$Pq7bzVeY$kJ5TlXr2QLCBQLTB7RVdR1'],
    ['a hash of SHA-1', '{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ='],
    ['a hash of crypt', 'rl7YrPpmqUJ4g'],
    [
      'a hash of SHA-512',
      '$6$rounds=5000$salt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/',
    ],
    ['a password as it is', 'open sesame'],
    ['nothing', ''],
    ['a bcrypt hash cut short', '$2y$10$hswvkn2bt0DxHaj2b/h9ZubUS0r7PDzVGmaZRGif'],
  ])('refuses %s, names its line and does not show it', (_what, given) => {
    const lines = [`ann:${hashes['2y']}`, `bob:${given}`]
    expect(() => parseUsers(lines)).toThrow(
      new RangeError('line 2: its hash is not one of bcrypt; expected what htpasswd -B writes'),
    )
  })

  test('refuses a hash that takes longer than anybody waits', () => {
    const slow = `$2y$16${hashes['2y']!.slice(6)}`
    expect(() => parseUsers([`ann:${slow}`])).toThrow(/^line 1: its hash has a cost of 16; expected at most 15$/)
  })

  test.each([
    [['nonsense'], /^line 1: has no user; expected user:hash$/],
    [[':x'], /^line 1: has no user; expected user:hash$/],
    [['# nobody', ''], /^there is no user in it/],
    [[], /^there is no user in it/],
  ])('refuses %j', (lines, message) => {
    expect(() => parseUsers(lines)).toThrow(message)
  })

  test('refuses a user with two lines', () => {
    expect(() => parseUsers([`ann:${hashes['2y']}`, `ann:${hashes['2b']}`])).toThrow(
      /^line 2: its user has a line already/,
    )
  })
})

test('costliestOf() is the hash that takes longest', () => {
  expect(costliestOf(parseUsers([`ann:${hashes['2y']}`, `bob:${hashes['2b']}`]))).toBe(hashes['2b'])
})
