import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { temporaryFolder, type TemporaryFolder } from '@layerlock/test-support'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { contentIdOf } from '../oci/content-id.ts'
import { type Digest, digestOf, digestParts } from '../oci/digest.ts'
import { contentStoreConformance } from './content-store.conformance.ts'
import { DiskContentStore } from './disk-content-store.ts'
import { readContent } from './read-content.testbed.ts'

const bytes = Buffer.from('some bytes of a layer')
const digest = digestOf(bytes)

let folder: TemporaryFolder

beforeEach(async () => {
  folder = await temporaryFolder('store')
})

afterEach(async () => {
  await folder[Symbol.asyncDispose]()
})

const openStore = () => DiskContentStore.open(join(folder.path, 'store'))
const pathOf = (of: Digest) => join(folder.path, 'store', 'blobs', 'sha256', digestParts(of).hex)

async function putBlob(store: DiskContentStore): Promise<void> {
  const ingest = await store.ingest(digest)
  await ingest.append(bytes)
  await ingest.commit()
  await ingest.release()
}

describe('a disk content store', () => {
  contentStoreConformance(openStore)

  test('is an OCI image layout', async () => {
    await putBlob(await openStore())
    const layout = await readFile(join(folder.path, 'store', 'oci-layout'), 'utf8')
    expect(JSON.parse(layout)).toEqual({ imageLayoutVersion: '1.0.0' })
    expect((await readFile(pathOf(digest))).equals(bytes)).toBe(true)
  })

  test('has after a restart what was committed, and nothing that was half-written', async () => {
    const before = await openStore()
    await putBlob(before)
    const half = await before.ingest(digestOf(Buffer.from('other')))
    await half.append(Buffer.from('oth'))
    const after = await openStore()
    await half.release()
    expect([...after.ids()]).toEqual([digest])
    expect(after.totals()).toEqual({ blobs: 1, bytes: bytes.length })
    expect(await readdir(join(folder.path, 'store', 'ingest'))).toEqual([])
    await using content = (await after.open(digest))!
    expect((await readContent(content)).equals(bytes)).toBe(true)
  })

  test.each(['registry.example', 'registry.example:5000', '..', '.'])(
    'keeps the content of %s apart',
    async (domain) => {
      const before = await openStore()
      const id = contentIdOf(digest, domain)
      const ingest = await before.ingest(id)
      await ingest.append(bytes)
      await ingest.commit()
      await ingest.release()
      const after = await openStore()
      expect([...after.ids()]).toEqual([id])
      expect(await readdir(join(folder.path, 'store', 'blobs', 'sha256'))).toEqual([])
      expect(await readdir(join(folder.path, 'store', 'private'))).toEqual([`@${domain.replace(':', '_')}`])
      await using content = (await after.open(id))!
      expect((await readContent(content)).equals(bytes)).toBe(true)
    },
  )

  test('leaves no ingest file behind, neither after a commit nor after a discard', async () => {
    const store = await openStore()
    await putBlob(store)
    const discarded = await store.ingest(digest)
    await discarded.append(bytes)
    await discarded.discard()
    await discarded.release()
    expect(await readdir(join(folder.path, 'store', 'ingest'))).toEqual([])
  })

  test('notices that a file was deleted behind its back, and can take it again', async () => {
    const store = await openStore()
    await putBlob(store)
    await rm(pathOf(digest))
    expect(await store.open(digest)).toBeUndefined()
    expect(store.has(digest)).toBe(false)
    expect(store.totals()).toEqual({ blobs: 0, bytes: 0 })
    await putBlob(store)
    expect(store.has(digest)).toBe(true)
  })

  test('does not serve a file that was cut short behind its back', async () => {
    const store = await openStore()
    await putBlob(store)
    await writeFile(pathOf(digest), bytes.subarray(0, 3))
    expect(await store.open(digest)).toBeUndefined()
    expect(store.has(digest)).toBe(false)
  })

  test('reads a small blob once, and forgets it when it is deleted', async () => {
    const store = await openStore()
    await putBlob(store)
    await (await store.open(digest))?.[Symbol.asyncDispose]()
    await rm(pathOf(digest))
    await using content = (await store.open(digest))!
    expect((await readContent(content)).equals(bytes)).toBe(true)
    await store.delete(digest)
    expect(await store.open(digest)).toBeUndefined()
  })

  test('notices that a large file was deleted behind its back, although it has it open', async () => {
    await using store = await openStore()
    const large = randomBytes(100_000)
    const ingest = await store.ingest(digestOf(large))
    await ingest.append(large)
    await ingest.commit()
    await ingest.release()
    await using before = (await store.open(digestOf(large)))!
    await rm(pathOf(digestOf(large)))
    expect(await store.open(digestOf(large))).toBeUndefined()
    expect(store.has(digestOf(large))).toBe(false)
    expect((await readContent(before)).equals(large)).toBe(true)
  })

  test('passes over what is no blob in its folders', async () => {
    await putBlob(await openStore())
    const blobs = join(folder.path, 'store', 'blobs')
    await writeFile(join(blobs, 'README'), 'not a folder')
    await writeFile(join(blobs, 'sha256', 'not-a-digest'), 'x')
    await mkdir(join(blobs, 'sha256', 'f'.repeat(64)))
    const store = await openStore()
    expect([...store.ids()]).toEqual([digest])
    expect(store.totals()).toEqual({ blobs: 1, bytes: bytes.length })
  })
})
