import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { temporaryFolder, type TemporaryFolder, waitFor } from '@layerlock/test-support'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { keptSession } from './kept-session.ts'

let folder: TemporaryFolder

beforeEach(async () => {
  folder = await temporaryFolder('session')
})

afterEach(async () => {
  await folder[Symbol.asyncDispose]()
})

test('there is no session in a new store', async () => {
  expect((await keptSession(folder.path)).id).toBeUndefined()
})

test('a session that is kept is there in the next life, and readable for nobody else', async () => {
  const id = 'Ab3_-'.repeat(8)
  ;(await keptSession(folder.path)).keep(id)
  const next = await waitFor(async () => (await keptSession(folder.path)).id, { what: 'the session to be kept' })
  expect(next).toBe(id)
  expect((await stat(join(folder.path, 'session'))).mode & 0o777).toBe(0o600)
})

test.each(['', '   ', 'two words', 'x'.repeat(129), 'ünicode', '../..'])('what is no id is none: %j', async (text) => {
  await writeFile(join(folder.path, 'session'), text)
  expect((await keptSession(folder.path)).id).toBeUndefined()
})

test('a session that cannot be kept does no harm', async () => {
  const { keep } = await keptSession(join(folder.path, 'missing'))
  keep('abc')
  await expect(readFile(join(folder.path, 'missing', 'session'))).rejects.toThrow('ENOENT')
})
