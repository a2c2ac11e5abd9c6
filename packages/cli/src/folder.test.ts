import { chmod, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { temporaryFolder, type TemporaryFolder } from '@layerlock/test-support'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ensureFolder } from './folder.ts'

let folder: TemporaryFolder

beforeEach(async () => {
  folder = await temporaryFolder('folder')
})

afterEach(async () => {
  await folder[Symbol.asyncDispose]()
})

const modeOf = async (path: string) => (await stat(path)).mode & 0o777

test('ensureFolder() makes a folder for this user alone, and those above it as usual', async () => {
  const path = join(folder.path, 'above', 'store')
  expect(ensureFolder('store', path)).toBe(path)
  expect([await modeOf(path), await modeOf(join(folder.path, 'above'))]).toEqual([0o700, 0o777 & ~process.umask()])
})

test('ensureFolder() leaves a folder that is there as it is', async () => {
  await chmod(folder.path, 0o755)
  ensureFolder('store', folder.path)
  expect(await modeOf(folder.path)).toBe(0o755)
})
