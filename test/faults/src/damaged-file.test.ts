import { randomBytes } from 'node:crypto'
import { copyFile, mkdir, open, readdir, readFile, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { startLockServer, startProcess, temporaryFolder, type TemporaryFolder } from '@layerlock/test-support'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { WireClient } from './wire-client.ts'

const ROOT = join(import.meta.dirname, '..', '..', '..')
const FILE = 'layerlock.db'

/** What can happen to a file: a disk that loses its end, or its middle. */
const DAMAGES: readonly (readonly [string, (path: string, bytes: number) => Promise<void>])[] = [
  ['was cut off in the middle', (path, bytes) => truncate(path, Math.floor(bytes / 8_192) * 4_096)],
  ['was cut off within a page', (path, bytes) => truncate(path, Math.floor(bytes / 2) + 123)],
  ['was overwritten in the middle', (path, bytes) => overwrite(path, randomBytes(16_384), Math.floor(bytes / 2))],
  ['is full of zeros from some point on', (path, bytes) => overwrite(path, Buffer.alloc(bytes / 2), bytes / 2)],
]

let folder: TemporaryFolder
let whole: string

beforeAll(async () => {
  folder = await temporaryFolder('damaged-file')
  const data = join(folder.path, 'whole')
  await using server = await startLockServer({ store: 'sqlite', dataFolder: data })
  const client = await WireClient.open(server.url)
  for (let index = 0; index < 50; index++) {
    await client.complete(`k${index}`, await client.acquire(`k${index}`), 'x'.repeat(5_000))
  }
  whole = join(data, FILE)
})

afterAll(async () => {
  await folder[Symbol.asyncDispose]()
})

describe('layerlock server', () => {
  for (const [index, [what, damage]] of DAMAGES.entries()) {
    test(`refuses a file that ${what}, with status 1, and leaves it as it is`, async () => {
      const data = join(folder.path, `damaged${index}`)
      await mkdir(data)
      const path = join(data, FILE)
      await copyFile(whole, path)
      await damage(path, (await stat(path)).size)
      const before = await readFile(path)

      const args = ['packages/cli/src/main.ts', 'server', '--listen', '127.0.0.1:0', '--data', data]
      await using server = await startProcess({ command: process.execPath, args, cwd: ROOT })
      expect(await server.exited).toEqual({ code: 1, signal: null })
      expect(server.stderr.text).toMatch(/layerlock\.db is damaged/)
      expect(await readFile(path)).toEqual(before)
      expect(await readdir(data)).toEqual([FILE])
    })
  }
})

async function overwrite(path: string, bytes: Buffer, position: number): Promise<void> {
  await using file = await open(path, 'r+')
  await file.write(bytes, 0, bytes.length, Math.floor(position))
}
