import { afterEach, expect, test, vi } from 'vitest'
import { checkOptions, type LockClientOptions } from './client-options.ts'
import { LockClient } from './lock-client.ts'

const url = 'http://127.0.0.1:1'

afterEach(() => void vi.unstubAllEnvs())

test.each<[string, LockClientOptions]>([
  ['url', {}],
  ['url', { url: '' }],
  ['url', { url: 'localhost:7400' }],
  ['url', { url: 'ftp://host' }],
  ['url', { url: ' http://host' }],
  ['url', { url: 'http://host\n' }],
  ['url', { url: 'http://host/?a=b' }],
  ['url', { url: 'http://host#top' }],
  ['url', { url: 'http://user@host' }],
  ['token', { url, token: '' }],
  ['token', { url, token: 'two words' }],
  ['token', { url, token: 'line\n' }],
  ['token', { url, token: 'ü' }],
  ['token', { url, token: 7 as unknown as string }],
  ['ca', { url, ca: '/etc/ca.pem' }],
  ['ca', { url, ca: '-----BEGIN CERTIFICATE-----', fetch: globalThis.fetch }],
  ['node', { url, node: '' }],
  ['endpoint', { url, endpoint: 'node-a:5000' }],
  ['sessionTtlMs', { url, sessionTtlMs: 999 }],
  ['sessionTtlMs', { url, sessionTtlMs: 600_001 }],
  ['sessionTtlMs', { url, sessionTtlMs: 1_500.5 }],
  ['sessionTtlMs', { url, sessionTtlMs: Number.NaN }],
  ['disconnectGraceMs', { url, disconnectGraceMs: -1 }],
  ['tryTimeoutMs', { url, tryTimeoutMs: 0 }],
  ['unavailableTimeoutMs', { url, unavailableTimeoutMs: -1 }],
])('new LockClient() names the option %s in what it refuses: %j', (name, options) => {
  vi.stubEnv('LAYERLOCK_URL', undefined)
  expect(() => new LockClient(options)).toThrow(TypeError)
  expect(() => new LockClient(options)).toThrow(new RegExp(`^${name}: expected .*, got `))
})

test('checkOptions() takes what is not given from the environment, or a default', () => {
  vi.stubEnv('LAYERLOCK_URL', 'http://from.env')
  vi.stubEnv('LAYERLOCK_TOKEN', 'secret')
  const checked = checkOptions({})
  expect(checked).toMatchObject({ url: 'http://from.env', token: 'secret', node: expect.stringMatching(/./) })
  expect(checked).toMatchObject({ tryTimeoutMs: 5_000, unavailableTimeoutMs: 30_000 })
  expect(checkOptions({ url, token: 'own' })).toMatchObject({ url, token: 'own' })
  vi.stubEnv('LAYERLOCK_TOKEN', 'secret\n')
  expect(checkOptions({})).toMatchObject({ token: 'secret' })
  vi.stubEnv('LAYERLOCK_TOKEN', '')
  expect(checkOptions({}).token).toBeUndefined()
})

test('new LockClient() shows no secret in what it refuses', () => {
  expect(() => new LockClient({ url, token: 'secret word' })).toThrow(
    'token: expected visible ASCII characters, without spaces or line ends, got 11 characters (not shown)',
  )
  expect(() => new LockClient({ url: 'http://user:secret@host' })).toThrow('got "http://***@host"')
})
