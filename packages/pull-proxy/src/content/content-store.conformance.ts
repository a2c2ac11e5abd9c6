import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { type ContentId, contentIdOf } from '../oci/content-id.ts'
import { type Digest, digestOf, parseDigest } from '../oci/digest.ts'
import type { ContentStore, Ingest } from './content-store.ts'
import { readContent } from './read-content.testbed.ts'

/** What every content store must do. @param openStore opens an empty one */
export function contentStoreConformance(openStore: () => Promise<ContentStore>): void {
  const bytes = randomBytes(200_000)
  const digest = digestOf(bytes)

  async function putBlob(store: ContentStore, content: Uint8Array = bytes): Promise<Digest> {
    const ingest = await store.ingest(digestOf(content))
    await ingest.append(content)
    await ingest.commit()
    await ingest.release()
    return digestOf(content)
  }

  async function hasNothing(store: ContentStore, but: readonly ContentId[] = []): Promise<boolean> {
    return (
      !store.has(digest) && (await store.open(digest)) === undefined && [...store.ids()].join(' ') === but.join(' ')
    )
  }

  test('an empty store has nothing', async () => {
    await using store = await openStore()
    expect(await hasNothing(store)).toBe(true)
    expect(store.totals()).toEqual({ blobs: 0, bytes: 0 })
  })

  test('a committed blob can be opened, with its size, and read at any place', async () => {
    await using store = await openStore()
    await putBlob(store)
    expect(store.has(digest)).toBe(true)
    await using content = (await store.open(digest))!
    expect(content.size).toBe(bytes.length)
    expect(digestOf(await readContent(content))).toBe(digest)
    const piece = Buffer.alloc(100)
    expect(await content.read(piece, 150_000)).toBe(100)
    expect(piece.equals(bytes.subarray(150_000, 150_100))).toBe(true)
    expect(await content.read(piece, bytes.length - 5)).toBe(5)
    expect(await content.read(piece, bytes.length)).toBe(0)
  })

  test('a blob can be empty', async () => {
    await using store = await openStore()
    const empty = await putBlob(store, Buffer.alloc(0))
    await using content = (await store.open(empty))!
    expect(content.size).toBe(0)
    expect(await content.read(Buffer.alloc(1), 0)).toBe(0)
  })

  test('a blob can be named by a sha512 digest', async () => {
    await using store = await openStore()
    const sha512 = parseDigest(
      'sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a' +
        '2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f',
    )
    const ingest = await store.ingest(sha512)
    await ingest.append(Buffer.from('abc'))
    expect(ingest.matches()).toBe(true)
    await ingest.commit()
    await ingest.release()
    expect([...store.ids()]).toEqual([sha512])
  })

  test('what is kept apart is seen by its own id only', async () => {
    await using store = await openStore()
    const id = contentIdOf(digest, 'registry.example:5000')
    const ingest = await store.ingest(id)
    await ingest.append(bytes)
    expect(ingest.matches()).toBe(true)
    await ingest.commit()
    await ingest.release()
    expect(await hasNothing(store, [id])).toBe(true)
    expect(await store.open(contentIdOf(digest, 'other.example'))).toBeUndefined()
    expect(store.totals()).toEqual({ blobs: 1, bytes: bytes.length })
    await using content = (await store.open(id))!
    expect((await readContent(content)).equals(bytes)).toBe(true)
    await store.delete(id)
    expect(await hasNothing(store)).toBe(true)
  })

  test('what is half-written is not visible, not even when all of its bytes are there', async () => {
    await using store = await openStore()
    const ingest = await store.ingest(digest)
    expect(await hasNothing(store)).toBe(true)
    await ingest.append(bytes)
    expect(ingest.matches()).toBe(true)
    expect(await hasNothing(store)).toBe(true)
    await ingest.discard()
    expect(await hasNothing(store)).toBe(true)
    await ingest.release()
  })

  test('an ingest can be read while it grows, as far as it is written', async () => {
    await using store = await openStore()
    const ingest = await store.ingest(digest)
    await ingest.append(bytes.subarray(0, 1000))
    const piece = Buffer.alloc(600)
    expect(await ingest.read(piece, 500)).toBe(500)
    expect(piece.subarray(0, 500).equals(bytes.subarray(500, 1000))).toBe(true)
    await ingest.append(bytes.subarray(1000, 2000))
    expect(await ingest.read(piece, 500)).toBe(600)
    expect(ingest.written).toBe(2000)
    await ingest.discard()
    await ingest.release()
  })

  test('an ingest that is started again knows nothing of the bytes before', async () => {
    await using store = await openStore()
    const ingest = await store.ingest(digest)
    await ingest.append(randomBytes(bytes.length + 100))
    expect(ingest.matches()).toBe(false)
    await ingest.restart()
    expect(ingest.written).toBe(0)
    await ingest.append(bytes)
    expect(ingest.matches()).toBe(true)
    await ingest.commit()
    await ingest.release()
    await using content = (await store.open(digest))!
    expect(digestOf(await readContent(content))).toBe(digest)
  })

  test.each(['commit', 'discard'] as const)('readers read on after a %s, until the last one releases', async (end) => {
    await using store = await openStore()
    const ingest = await store.ingest(digest)
    await ingest.append(bytes)
    ingest.retain()
    ingest.retain()
    await ingest[end]()
    await ingest.release()
    await ingest.release()
    const piece = Buffer.alloc(100)
    expect(await ingest.read(piece, 0)).toBe(100)
    expect(piece.equals(bytes.subarray(0, 100))).toBe(true)
    await ingest.release()
    await expect(ingest.read(piece, 0)).rejects.toBeInstanceOf(Error)
    expect(store.has(digest)).toBe(end === 'commit')
  })

  test('two ingests of the same digest do not disturb each other', async () => {
    await using store = await openStore()
    const ingests: Ingest[] = [await store.ingest(digest), await store.ingest(digest)]
    for (const ingest of ingests) await ingest.append(bytes)
    for (const ingest of ingests) {
      await ingest.commit()
      await ingest.release()
    }
    expect(store.totals()).toEqual({ blobs: 1, bytes: bytes.length })
  })

  test('totals and digests count what is there, each blob once', async () => {
    await using store = await openStore()
    const other = await putBlob(store, Buffer.from('other'))
    await putBlob(store)
    await putBlob(store)
    expect(store.totals()).toEqual({ blobs: 2, bytes: bytes.length + 5 })
    expect(new Set(store.ids())).toEqual(new Set([digest, other]))
  })

  test('a deleted blob is gone, but whoever reads it reads on', async () => {
    await using store = await openStore()
    await putBlob(store)
    await using content = (await store.open(digest))!
    await store.delete(digest)
    expect(await hasNothing(store)).toBe(true)
    expect(store.totals()).toEqual({ blobs: 0, bytes: 0 })
    expect(digestOf(await readContent(content))).toBe(digest)
    await store.delete(digest)
  })
}
