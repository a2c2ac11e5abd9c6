import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { temporaryFolder, type TemporaryFolder } from '@layerlock/test-support'
import { Command } from 'commander'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createCommand, flag } from './commands/common-options.ts'
import { repeatable } from './repeatable.ts'
import { enabled, optional, required, type Settings, settingsOf } from './settings.ts'

let folder: TemporaryFolder
let file: string

beforeEach(async () => {
  folder = await temporaryFolder('settings')
  file = join(folder.path, 'layerlock.toml')
})

afterEach(async () => {
  vi.unstubAllEnvs()
  await folder[Symbol.asyncDispose]()
})

/** What the command `proxy` with some flags would be told. */
function settingsFrom(...args: string[]): Settings {
  const command = createCommand('proxy', 'a proxy')
    .addOption(flag('--listen <host:port>', 'where', '127.0.0.1:5050'))
    .addOption(flag('--peer-listen <host:port>', 'where'))
    .addOption(repeatable(flag('--upstream <name=url>', 'which')))
    .addOption(flag('--fast', 'whether'))
    .addOption(flag('--max-keys <count>', 'how many'))
    .action(() => undefined)
  new Command('layerlock')
    .addCommand(command)
    .addCommand(new Command('server'))
    .parse(['proxy', ...args], { from: 'user' })
  return settingsOf(command)
}

async function settingsWith(toml: string, ...args: string[]): Promise<Settings> {
  await writeFile(file, toml)
  return settingsFrom('--config', file, ...args)
}

test('a default is the last that counts', () => {
  expect(settingsFrom()).toMatchObject({ listen: '127.0.0.1:5050' })
})

test('flags go over the environment, the environment over the file, the file over defaults', async () => {
  const toml = '[proxy]\nlisten = "file:1"\npeerListen = "file:2"\nlogLevel = "warn"'
  vi.stubEnv('LAYERLOCK_LISTEN', 'env:1')
  vi.stubEnv('LAYERLOCK_PEER_LISTEN', 'env:2')
  expect(await settingsWith(toml, '--listen', 'flag:1')).toMatchObject({
    listen: 'flag:1',
    peerListen: 'env:2',
    logLevel: 'warn',
  })
})

test('the file can be named by the environment', async () => {
  await writeFile(file, '[proxy]\nlisten = "file:1"')
  vi.stubEnv('LAYERLOCK_CONFIG', file)
  expect(settingsFrom()).toMatchObject({ listen: 'file:1' })
})

test('a list can be written as one', async () => {
  expect(await settingsWith('[proxy]\nupstream = ["a=http://a", "b=http://b"]')).toMatchObject({
    upstream: ['a=http://a', 'b=http://b'],
  })
})

test('a list can be written as a table, which says where it stands', async () => {
  const toml = '[proxy.upstream]\n"a.io" = "http://a"\n[proxy.upstream.b]\nretries = 5'
  const upstream = { setting: `${file}: proxy.upstream`, table: { 'a.io': 'http://a', b: { retries: 5 } } }
  expect(await settingsWith(toml)).toMatchObject({ upstream })
})

test('a list of flags takes the place of one in the file, be it a list or a table', async () => {
  const toml = '[proxy.upstream]\n"a.io" = "http://a"'
  expect(await settingsWith(toml, '--upstream', 'c=http://c')).toMatchObject({ upstream: ['c=http://c'] })
})

test('a count or a size can be written as a number', async () => {
  expect(await settingsWith('[proxy]\nmaxKeys = 1_000')).toMatchObject({ maxKeys: '1000' })
})

test('a switch is off unless it is given by a flag, the environment or the file', async () => {
  expect(enabled(settingsFrom(), 'fast')).toBe(false)
  expect(enabled(settingsFrom('--fast'), 'fast')).toBe(true)
  expect(enabled(await settingsWith('[proxy]\nfast = true'), 'fast')).toBe(true)
  expect(enabled(await settingsWith('[proxy]\nfast = false'), 'fast')).toBe(false)
  expect(enabled(await settingsWith('[proxy]\nfast = false', '--fast'), 'fast')).toBe(true)
})

test.each([
  ['true', true],
  ['1', true],
  ['false', false],
  ['0', false],
  ['', false],
])('a switch of the environment goes over the file: %s', async (value, isOn) => {
  vi.stubEnv('LAYERLOCK_FAST', value)
  expect(enabled(settingsFrom(), 'fast')).toBe(isOn)
  expect(enabled(await settingsWith(`[proxy]\nfast = ${!isOn}`), 'fast')).toBe(isOn)
})

test('a switch of the environment that is neither on nor off is refused', () => {
  vi.stubEnv('LAYERLOCK_FAST', 'yes')
  expect(() => settingsFrom()).toThrow('fast: "yes" is not allowed; expected true or false')
})

test('tables of other commands are passed over', async () => {
  expect(await settingsWith('[server]\nanything = 1\n[proxy]\nlisten = "file:1"')).toMatchObject({ listen: 'file:1' })
})

test.each([
  ['[proxy]\nlistne = "x:1"', 'proxy.listne: "…" is not allowed; expected one of'],
  ['[proxy]\npassword = "secret"', 'proxy.password: "…" is not allowed; expected one of'],
  ['[proxy]\nconfig = "x"', 'proxy.config: "…" is not allowed'],
  ['[proxy]\nlisten = 5050', 'proxy.listen: 5050 is not allowed; expected a string'],
  ['[proxy]\nmaxKeys = 1.5', 'proxy.maxKeys: 1.5 is not allowed; expected a string'],
  ['[proxy]\nfast = "true"', 'proxy.fast: "true" is not allowed; expected true or false'],
  ['[proxy]\nfast = 1', 'proxy.fast: 1 is not allowed; expected true or false'],
  ['[proxy]\nlisten = true', 'proxy.listen: true is not allowed; expected a string'],
  ['[proxy]\nupstream = "a=http://a"', 'proxy.upstream: "…" is not allowed; expected a list'],
  ['[proxy]\nupstream = [1]', 'proxy.upstream: "…" is not allowed; expected a list'],
  ['proxy = "x"', 'proxy: "…" is not allowed; expected a table'],
  ['[prxy]\nlisten = "x:1"', 'prxy: "…" is not allowed; expected one of proxy, server'],
  ['[prxy.upstream.x]\npassword = "secret"', 'prxy: "…" is not allowed; expected one'],
  ['upstream = [{ password = "secret" }]', 'upstream: "…" is not allowed'],
  ['password = "secret"', 'password: "…" is not allowed; expected one of proxy, server'],
  ['listen = "x:1"', 'listen: "…" is not allowed; expected one of proxy, server'],
  ['[proxy', 'config: '],
  [
    '[proxy]\nlisten = "a:1"\npassword = secret',
    'toml" is not allowed; expected a TOML file that can be read (line 3, ',
  ],
])('the file %j is refused', async (toml, message) => {
  await expect(settingsWith(toml)).rejects.toMatchObject({
    name: 'UsageError',
    message: expect.stringContaining(message),
  })
  await expect(settingsWith(toml)).rejects.toThrow(/^(?:(?!secret).)*$/s)
})

test('a flag that can be repeated takes one value at a time', () => {
  expect(settingsFrom('--upstream', 'a=http://a', '--upstream', 'b=http://b')).toMatchObject({
    upstream: ['a=http://a', 'b=http://b'],
  })
})

test('a file that is not there is refused', () => {
  expect(() => settingsFrom('--config', file)).toThrow(/config: .*ENOENT/)
})

test('a value that is empty is none', () => {
  expect(optional({ node: '' }, 'node')).toBeUndefined()
  expect(optional({ node: 'a' }, 'node')).toBe('a')
  expect(() => required({ store: '' }, 'store', 'a folder')).toThrow('store: "" is not allowed; expected a folder')
  expect(() => required({}, 'store', 'a folder')).toThrow('store: is missing; expected a folder')
})
