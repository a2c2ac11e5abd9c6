import { readdir, readFile, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { temporaryFolder, type TemporaryFolder } from '@layerlock/test-support'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { parseDigest } from '../oci/digest.ts'
import { TagLedger } from './tag-ledger.ts'

const target = { digest: parseDigest(`sha256:${'a'.repeat(64)}`), size: 5, mediaType: 'application/x' }
let folder: TemporaryFolder

beforeEach(async () => {
  folder = await temporaryFolder('ledger')
})

afterEach(async () => {
  await folder[Symbol.asyncDispose]()
})

test('keeps what a tag named last over a restart', async () => {
  const ledger = await TagLedger.open(folder.path, 60_000)
  await ledger.record('docker.io/library/app:latest', { ...target, size: 4 }, Date.now())
  await ledger.record('docker.io/library/app:latest', target, Date.now())
  const again = await TagLedger.open(folder.path, 60_000)
  expect(await again.lookUp('docker.io/library/app:latest')).toMatchObject({ target })
  expect(await again.lookUp('docker.io/library/app:other')).toBeUndefined()
  expect(await readdir(folder.path)).toHaveLength(1)
})

test('removes what is too old for anyone, and what was left half-written', async () => {
  const ledger = await TagLedger.open(folder.path, 60_000)
  await ledger.record('old', target, Date.now())
  await ledger.record('new', target, Date.now())
  const files = await readdir(folder.path)
  const contents = await Promise.all(files.map((file) => readFile(join(folder.path, file), 'utf8')))
  const old = files[contents.findIndex((text) => text.includes('"old"'))]!
  const longAgo = new Date(Date.now() - 120_000)
  await utimes(join(folder.path, old), longAgo, longAgo)
  await writeFile(join(folder.path, `${old}.half`), '{"na')
  const again = await TagLedger.open(folder.path, 60_000)
  expect(await readdir(folder.path)).toEqual(files.filter((file) => file !== old))
  expect(await again.lookUp('old')).toBeUndefined()
  expect(await again.lookUp('new')).toMatchObject({ target })
})

test.each([
  '',
  '{',
  'null',
  '[]',
  '{"name":"x"}',
  '{"name":"x","digest":"sha256:../../y","size":1,"mediaType":"m","resolvedAtMs":1}',
])('a damaged file is none: %j', async (text) => {
  const ledger = await TagLedger.open(folder.path, 60_000)
  await ledger.record('x', target, Date.now())
  const [file] = await readdir(folder.path)
  await writeFile(join(folder.path, file!), text)
  expect(await ledger.lookUp('x')).toBeUndefined()
})

test('a clock that was set back makes nothing younger than new', async () => {
  const ledger = await TagLedger.open(folder.path, 60_000)
  await ledger.record('x', target, Date.now())
  const [file] = await readdir(folder.path)
  const path = join(folder.path, file!)
  const entry = JSON.parse(await readFile(path, 'utf8')) as object
  await writeFile(path, JSON.stringify({ ...entry, resolvedAtMs: Date.now() + 3_600_000 }))
  expect((await ledger.lookUp('x'))?.ageMs).toBe(0)
})
