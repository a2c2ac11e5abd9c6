import { readdir, readlink, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { temporaryFolder, type TemporaryFolder } from '@layerlock/test-support'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type OpenFile, OpenFiles } from './open-files.ts'

let folder: TemporaryFolder
let path: string

beforeEach(async () => {
  folder = await temporaryFolder('open-files')
  path = join(folder.path, 'a')
  await writeFile(path, 'content')
})

afterEach(async () => {
  await folder[Symbol.asyncDispose]()
})

/** How many files of the folder this process has open. */
async function openCount(): Promise<number> {
  const links = await Promise.all(
    (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')),
  )
  return links.filter((link) => link.startsWith(folder.path)).length
}

async function read(file: OpenFile | undefined): Promise<string> {
  const { buffer, bytesRead } = await file!.handle.read(Buffer.alloc(100), 0, 100, 0)
  return buffer.toString('utf8', 0, bytesRead)
}

describe('open files', () => {
  test('are opened once for all who ask, at the same time or later', async () => {
    await using files = new OpenFiles()
    const [one, two] = await Promise.all([files.open(path), files.open(path)])
    const three = await files.open(path)
    expect(new Set([one, two, three]).size).toBe(1)
    expect(one?.size).toBe(7)
    expect(await openCount()).toBe(1)
    for (const file of [one, two, three]) await file?.release()
  })

  test('are not there when there is no file', async () => {
    await using files = new OpenFiles()
    expect(await files.open(join(folder.path, 'b'))).toBeUndefined()
  })

  test('are opened anew when the file was deleted or replaced', async () => {
    await using files = new OpenFiles()
    await (await files.open(path))?.release()
    await writeFile(join(folder.path, 'b'), 'other')
    await rename(join(folder.path, 'b'), path)
    const replaced = await files.open(path)
    expect(await read(replaced)).toBe('other')
    await replaced?.release()
    await rm(path)
    expect(await files.open(path)).toBeUndefined()
    expect(await openCount()).toBe(0)
  })

  test('are closed when they are forgotten and their last reader has gone', async () => {
    await using files = new OpenFiles()
    const file = await files.open(path)
    files.forget(path)
    expect(await read(file)).toBe('content')
    await file?.release()
    expect(await openCount()).toBe(0)
  })

  test('are closed at the end, but for those that are still read', async () => {
    const files = new OpenFiles()
    await writeFile(join(folder.path, 'b'), 'other')
    const file = await files.open(path)
    await (await files.open(join(folder.path, 'b')))?.release()
    expect(await openCount()).toBe(2)
    await files[Symbol.asyncDispose]()
    expect(await openCount()).toBe(1)
    expect(await read(file)).toBe('content')
    await file?.release()
    expect(await openCount()).toBe(0)
  })

  test('are bounded: the one that was not used for the longest time is closed', async () => {
    await using files = new OpenFiles(2)
    for (const name of ['a', 'b', 'c']) {
      await writeFile(join(folder.path, name), name)
      await (await files.open(join(folder.path, name)))?.release()
    }
    await expect.poll(openCount).toBe(2)
    const again = await files.open(path)
    expect(await read(again)).toBe('a')
    await again?.release()
  })
})
