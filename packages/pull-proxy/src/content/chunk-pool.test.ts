import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { ChunkPool } from './chunk-pool.ts'
import type { Content } from './content-store.ts'

const bytes = randomBytes(1_000)

/** Content that counts its reads, which give at most so many bytes. */
function contentOf({ shared = {}, mostBytes = Infinity }: { shared?: object; mostBytes?: number } = {}) {
  const content = {
    size: bytes.length,
    shared,
    reads: 0,
    error: undefined as Error | undefined,
    read: (target: Uint8Array, position: number) => {
      content.reads++
      if (content.error !== undefined) return Promise.reject(content.error)
      return Promise.resolve(bytes.copy(target.subarray(0, mostBytes), 0, position))
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
  return content satisfies Content
}

const pool = (maxChunks = 4) => new ChunkPool({ chunkBytes: 100, maxChunks })

describe('a chunk pool', () => {
  test('reads a chunk from the position on, up to the end that was named', async () => {
    const chunks = pool()
    const content = contentOf()
    expect((await chunks.take(content, 250, 1_000))?.bytes).toEqual(bytes.subarray(250, 350))
    expect((await chunks.take(content, 950, 1_000))?.bytes).toEqual(bytes.subarray(950, 1_000))
    expect((await chunks.take(content, 500, 510))?.bytes).toEqual(bytes.subarray(500, 510))
  })

  test('reads once for all who want the same bytes, at the same time or later', async () => {
    const chunks = pool()
    const content = contentOf()
    const [first, second] = await Promise.all([chunks.take(content, 0, 1_000), chunks.take(content, 40, 1_000)])
    first?.release()
    const third = await chunks.take(content, 99, 1_000)
    expect([first, second, third].map((chunk) => chunk?.bytes)).toEqual([
      bytes.subarray(0, 100),
      bytes.subarray(40, 100),
      bytes.subarray(99, 100),
    ])
    expect(content.reads).toBe(1)
  })

  test('gives nobody more than up to the end that he named', async () => {
    const chunks = pool()
    const content = contentOf()
    await chunks.take(content, 0, 1_000)
    expect((await chunks.take(content, 10, 20))?.bytes).toEqual(bytes.subarray(10, 20))
  })

  test('does not mix up contents', async () => {
    const chunks = pool()
    const [one, other] = [contentOf(), contentOf()]
    await chunks.take(one, 0, 1_000)
    await chunks.take(other, 0, 1_000)
    expect([one.reads, other.reads]).toEqual([1, 1])
  })

  test('has nothing to give when all of its memory is held, and again when some is given back', async () => {
    const chunks = pool(2)
    const content = contentOf()
    const held = [await chunks.take(content, 0, 1_000), await chunks.take(content, 100, 1_000)]
    expect(await chunks.take(content, 200, 1_000)).toBeUndefined()
    held[0]?.release()
    expect((await chunks.take(content, 200, 1_000))?.bytes).toEqual(bytes.subarray(200, 300))
    expect(held[1]?.bytes).toEqual(bytes.subarray(100, 200))
  })

  test('counts who gives back twice once', async () => {
    const chunks = pool(1)
    const content = contentOf()
    const first = await chunks.take(content, 0, 1_000)
    const second = await chunks.take(content, 0, 1_000)
    first?.release()
    first?.release()
    expect(await chunks.take(content, 500, 1_000)).toBeUndefined()
    expect(chunks.held).toBe(1)
    second?.release()
    expect(chunks.held).toBe(0)
  })

  test('takes the memory of what was not used for the longest time', async () => {
    const chunks = pool(2)
    const content = contentOf()
    const read = async (position: number) => (await chunks.take(content, position, 1_000))?.release()
    for (const position of [0, 100, 0, 200, 0]) await read(position)
    expect(content.reads).toBe(3)
    await read(100)
    expect(content.reads).toBe(4)
  })

  test('takes no more memory for one reader than it needs, though it may', async () => {
    const chunks = pool(16)
    const content = contentOf()
    for (let position = 0; position < 1_000; position += 100) (await chunks.take(content, position, 1_000))?.release()
    const before = content.reads
    for (const position of [600, 700, 800, 900]) (await chunks.take(content, position, 1_000))?.release()
    expect(content.reads).toBe(before)
    await chunks.take(content, 500, 1_000)
    expect(content.reads).toBe(before + 1)
  })

  test('goes on when a read brings less than was asked for', async () => {
    const chunks = pool()
    const content = contentOf({ mostBytes: 30 })
    const [first, second] = await Promise.all([chunks.take(content, 0, 1_000), chunks.take(content, 50, 1_000)])
    expect(first?.bytes).toEqual(bytes.subarray(0, 30))
    expect(second?.bytes).toEqual(bytes.subarray(50, 80))
  })

  test('fails when the content ends too early, and keeps nothing for it', async () => {
    const chunks = pool()
    await expect(chunks.take(contentOf({ mostBytes: 0 }), 0, 1_000)).rejects.toThrow('the content ends at 0')
    expect(chunks.held).toBe(0)
  })

  test('reads anew after a failure', async () => {
    const chunks = pool(1)
    const content = contentOf()
    content.error = new Error('the disk is gone')
    const both = [chunks.take(content, 0, 1_000), chunks.take(content, 10, 1_000)]
    await expect(both[0]).rejects.toThrow('the disk is gone')
    await expect(both[1]).rejects.toThrow('the disk is gone')
    content.error = undefined
    expect((await chunks.take(content, 0, 1_000))?.bytes).toEqual(bytes.subarray(0, 100))
  })
})
