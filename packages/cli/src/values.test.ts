import { describe, expect, test } from 'vitest'
import { UsageError } from './usage-error.ts'
import {
  isHost,
  parseAddress,
  parseCount,
  parseDuration,
  parseHttpUrl,
  parsePositiveDuration,
  parseSize,
  parseUpstream,
} from './values.ts'

describe('parseAddress()', () => {
  test.each([
    ['127.0.0.1:5050', '127.0.0.1', 5050],
    ['localhost:0', 'localhost', 0],
    ['0.0.0.0:65535', '0.0.0.0', 65_535],
    ['[::1]:80', '::1', 80],
    ['node-1.example:443', 'node-1.example', 443],
  ])('reads %s', (text, host, port) => {
    expect(parseAddress('listen', text)).toEqual({ host, port })
  })

  test.each([
    '',
    '5050',
    ':5050',
    'localhost',
    'localhost:',
    'localhost:x',
    'localhost:65536',
    '::1:80',
    'a b:80',
    '*:80',
  ])('refuses %j', (text) => {
    expect(() => parseAddress('listen', text)).toThrow(/^listen: ".*" is not allowed; expected HOST:PORT/)
  })
})

describe('parseHttpUrl()', () => {
  test.each(['http://127.0.0.1:7400', 'https://registry.example/mirrors/hub/'])('reads %s', (text) => {
    expect(parseHttpUrl('lockServer', text).href).toBe(new URL(text).href)
  })

  test.each(['', 'registry.example', 'ftp://x', 'http://x?a=b', 'http://x#y', 'http://'])('refuses %j', (text) => {
    expect(() => parseHttpUrl('lockServer', text)).toThrow(UsageError)
  })

  test('refuses credentials, and does not show them', () => {
    expect(() => parseHttpUrl('lockServer', 'http://user:secret@x')).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('secret') }),
    )
  })
})

describe('parseUpstream()', () => {
  test.each([
    ['docker.io=https://registry-1.docker.io', 'docker.io', 'https://registry-1.docker.io/'],
    ['localhost:5000=http://127.0.0.1:5000', 'localhost:5000', 'http://127.0.0.1:5000/'],
  ])('reads %s', (text, name, href) => {
    const upstream = parseUpstream('upstream', text)
    expect([upstream.name, upstream.url?.href]).toEqual([name, href])
  })

  test.each(['', 'docker.io', '=http://x', 'Docker.io=http://x', 'a/b=http://x', 'docker.io=', 'docker.io=x'])(
    'refuses %j',
    (text) => {
      expect(() => parseUpstream('upstream', text)).toThrow(/^upstream(?:\."docker\.io")?: /)
    },
  )

  test('reads * alone', () => {
    expect(parseUpstream('upstream', '*')).toEqual({ name: '*' })
  })

  test.each(['*=https://x', '*.docker.io=https://x', '**'])('refuses %s', (text) => {
    expect(() => parseUpstream('upstream', text)).toThrow(/ or \* alone$/)
  })

  test.each([
    'docker.io=http://user:secret@x',
    'docker.io=http://user:a/secret@x',
    'docker.io=http://user:a@secret@x',
    'docker.io=user:secret@x',
    'docker.io=https://x/?token=secret',
    'docker.io=https://x/#secret',
    'user:secret//user:secret@x',
    'user:secret@x',
  ])('shows no credentials of %s', (text) => {
    expect(() => parseUpstream('upstream', text)).toThrow(
      expect.objectContaining({ name: 'UsageError', message: expect.not.stringContaining('secret') }),
    )
  })
})

describe('parseDuration()', () => {
  test.each([
    ['0s', 0],
    ['500ms', 500],
    ['10s', 10_000],
    ['5m', 300_000],
    ['500h', 1_800_000_000],
  ])('reads %s', (text, ms) => {
    expect(parseDuration('drain', text)).toBe(ms)
  })

  test.each(['', '10', 's', '1.5s', '-1s', '10 s', '1d', '1S', '501h', '999999999h'])('refuses %j', (text) => {
    expect(() => parseDuration('drain', text)).toThrow(/^drain: .* expected a duration such as/)
  })
})

describe('parsePositiveDuration()', () => {
  test('reads what parseDuration() reads, but nothing', () => {
    expect(parsePositiveDuration('lockTimeout', '2s')).toBe(2_000)
    expect(() => parsePositiveDuration('lockTimeout', '2')).toThrow('expected a duration such as')
    expect(() => parsePositiveDuration('lockTimeout', '0s')).toThrow('expected more than 0s')
  })
})

describe('isHost()', () => {
  test('knows hosts with and without port', () => {
    expect(['docker.io', 'localhost:5000', '10.0.0.1', 'x'].filter(isHost)).toHaveLength(4)
    expect(['', '*', 'a/b', 'Docker.io', 'x:', 'x:123456', 'a b', '[::1]'].filter(isHost)).toEqual([])
  })
})

describe('parseSize()', () => {
  test.each([
    ['1', 1],
    ['65536', 65_536],
    ['64KiB', 65_536],
    ['1MiB', 1_048_576],
    ['2GiB', 2_147_483_648],
  ])('reads %s', (text, bytes) => {
    expect(parseSize('maxBody', text)).toBe(bytes)
  })

  test.each(['', '0', '0KiB', '-1', '1.5MiB', '1 MiB', '1MB', '1kib', 'MiB', '999999999999999GiB'])(
    'refuses %j',
    (text) => {
      expect(() => parseSize('maxBody', text)).toThrow(/^maxBody: .* expected a size such as 65536, 64KiB or 1MiB/)
    },
  )
})

describe('parseCount()', () => {
  test.each([
    ['1', 1],
    ['1000000', 1_000_000],
  ])('reads %s', (text, count) => {
    expect(parseCount('maxKeys', text)).toBe(count)
  })

  test.each(['', '0', '-1', '1.5', '1e6', '1_000', 'many', '9'.repeat(16)])('refuses %j', (text) => {
    expect(() => parseCount('maxKeys', text)).toThrow(/^maxKeys: .* expected a whole number, at least 1$/)
  })
})
