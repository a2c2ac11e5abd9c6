import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { AccessToken } from '@layerlock/server'
import { temporaryFolder } from '@layerlock/test-support'
import { expect, test } from 'vitest'
import { readTokens } from './token-file.ts'

async function read(text: string): Promise<AccessToken[]> {
  await using folder = await temporaryFolder('tokens')
  const path = join(folder.path, 'tokens')
  await writeFile(path, text)
  return readTokens('tokenFile', path)
}

test('readTokens() reads one token a line, without comments', async () => {
  expect(await read('# for the nodes\none\n\n  two  \r\n#three\n')).toEqual([
    { token: 'one', role: 'client' },
    { token: 'two', role: 'client' },
  ])
})

test('readTokens() reads the role after a token', async () => {
  expect(await read('one client\ntwo\toperator\r\nthree   operator\n')).toEqual([
    { token: 'one', role: 'client' },
    { token: 'two', role: 'operator' },
    { token: 'three', role: 'operator' },
  ])
})

test('readTokens() takes a token that is there twice with one role', async () => {
  expect(await read('one\none client\n')).toHaveLength(2)
})

test.each([
  ['\none admin\n', 'tokens, line 2: admin" is not allowed; expected the role to be client or operator'],
  ['one operator now\n', 'tokens, line 1" is not allowed; expected a token of printable ASCII'],
  ['good\nsécret\n', 'tokens, line 2" is not allowed; expected a token of printable ASCII'],
  ['secret\n#\nsecret operator\n', 'tokens, lines 1 and 3" is not allowed; expected one role a token'],
  ['', 'expected a file with at least one token'],
  ['\n# nothing\n', 'expected a file with at least one token'],
])('readTokens() refuses %j, and shows no token', async (text, message) => {
  const refused = await read(text).then(
    () => undefined,
    (error: unknown) => error as Error,
  )
  expect(refused).toMatchObject({ name: 'UsageError', message: expect.stringContaining(message) as string })
  expect(refused?.message).not.toMatch(/secret|sécret|good|one operator/)
})

test('readTokens() refuses a file that cannot be read, and says why', () => {
  expect(() => readTokens('tokenFile', '/nowhere/tokens')).toThrow(/^tokenFile: .*ENOENT/)
})
