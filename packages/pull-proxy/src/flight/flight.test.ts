import { randomBytes } from 'node:crypto'
import { temporaryFolder, type TemporaryFolder } from '@layerlock/test-support'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import type { Content } from '../content/content-store.ts'
import { DiskContentStore } from '../content/disk-content-store.ts'
import { readContent } from '../content/read-content.testbed.ts'
import { failureOf } from '../failure-of.testbed.ts'
import { digestOf } from '../oci/digest.ts'
import { OciError } from '../oci/oci-error.ts'
import { Flight } from './flight.ts'

const KIB = 1024
const bytes = randomBytes(300 * KIB)
const digest = digestOf(bytes)
/** Wrong from its first byte on. */
const wrong = Buffer.from(bytes.map((byte) => byte ^ 0xff))

let folder: TemporaryFolder
let store: DiskContentStore

beforeEach(async () => {
  folder = await temporaryFolder('flight')
  store = await DiskContentStore.open(folder.path)
})

afterEach(async () => {
  await folder[Symbol.asyncDispose]()
})

async function createFlight(of = digest): Promise<Flight> {
  const flight = new Flight(of, await store.ingest(of))
  onTestFinished(() => flight.fail(new Error('the test is over')))
  return flight
}

/** A flight that is announced, with its first reader. */
async function openFlight(): Promise<{ flight: Flight; content: Content }> {
  const flight = await createFlight()
  flight.announce({ size: bytes.length, source: 'upstream' })
  return { flight, content: await contentOf(flight) }
}

async function contentOf(flight: Flight): Promise<Content> {
  const { content } = (await flight.join())!
  onTestFinished(() => content[Symbol.asyncDispose]())
  return content
}

async function finish(flight: Flight): Promise<void> {
  await flight.append(bytes.subarray(flight.written))
  expect(flight.verify()).toBe(true)
  await flight.commit()
}

/** Whether a promise is still pending after everything that can happen by itself has happened. */
async function isPending(promise: Promise<unknown>): Promise<boolean> {
  const settled = promise.then(
    () => false,
    () => false,
  )
  const later = new Promise<boolean>((resolve) => setTimeout(() => resolve(true), 20))
  return Promise.race([settled, later])
}

describe('join()', () => {
  test('waits for the size, and says where the bytes come from', async () => {
    const flight = await createFlight()
    const joining = flight.join()
    expect(await isPending(joining)).toBe(true)
    flight.announce({ size: bytes.length, source: 'peer' })
    const joined = (await joining)!
    await using content = joined.content
    expect({ source: joined.source, size: content.size }).toEqual({ source: 'peer', size: bytes.length })
  })

  test('is undefined once the blob is in the store', async () => {
    const { flight } = await openFlight()
    await finish(flight)
    expect(await flight.join()).toBeUndefined()
  })

  test('still takes readers between the verification and the commit', async () => {
    const { flight } = await openFlight()
    await flight.append(bytes)
    flight.verify()
    const late = await contentOf(flight)
    await flight.commit()
    expect(digestOf(await readContent(late))).toBe(digest)
  })

  test('rejects with what the flight failed with, before and after', async () => {
    const flight = await createFlight()
    const joining = failureOf(flight.join())
    await flight.fail(new OciError('BLOB_UNKNOWN', 'gone'))
    expect(await joining).toMatchObject({ message: expect.stringContaining('gone') })
    await expect(flight.join()).rejects.toThrow('gone')
  })
})

describe('readers', () => {
  test('get bytes as they come, each at its own pace, and all of them in the end', async () => {
    const { flight, content: fast } = await openFlight()
    const slow = await contentOf(flight)
    const reading = readContent(fast)
    await flight.append(bytes.subarray(0, 100 * KIB))
    const piece = Buffer.alloc(10)
    expect(await slow.read(piece, 5)).toBe(10)
    expect(piece.equals(bytes.subarray(5, 15))).toBe(true)
    await finish(flight)
    expect(digestOf(await reading)).toBe(digest)
    expect(digestOf(await readContent(slow, 0, 1000))).toBe(digest)
    expect(flight.readers).toBe(2)
  })

  test('that are slow do not slow the flight: it lands while nobody reads', async () => {
    const { flight, content } = await openFlight()
    await finish(flight)
    expect(store.has(digest)).toBe(true)
    expect(digestOf(await readContent(content))).toBe(digest)
  })

  test('wait for bytes that lie ahead', async () => {
    const { flight, content } = await openFlight()
    const piece = Buffer.alloc(16)
    const ahead = content.read(piece, 200 * KIB)
    await flight.append(bytes.subarray(0, 150 * KIB))
    expect(await isPending(ahead)).toBe(true)
    await flight.append(bytes.subarray(150 * KIB, 290 * KIB))
    expect(await ahead).toBe(16)
    expect(piece.equals(bytes.subarray(200 * KIB, 200 * KIB + 16))).toBe(true)
  })

  test('do not get the last 64 KiB before the digest is known to be right', async () => {
    const { flight, content } = await openFlight()
    await flight.append(bytes)
    const target = Buffer.alloc(bytes.length)
    const before = await content.read(target, 0)
    expect(before).toBe(bytes.length - 64 * KIB)
    const last = content.read(target, before)
    expect(await isPending(last)).toBe(true)
    flight.verify()
    expect(await last).toBe(64 * KIB)
  })

  test('of a small blob get nothing before the digest is known to be right', async () => {
    const small = bytes.subarray(0, 1000)
    const flight = await createFlight(digestOf(small))
    flight.announce({ size: small.length, source: 'upstream' })
    const content = await contentOf(flight)
    await flight.append(small)
    const reading = readContent(content)
    expect(await isPending(reading)).toBe(true)
    flight.verify()
    expect((await reading).equals(small)).toBe(true)
  })

  test('of an empty blob are let in when nothing has turned out to be right', async () => {
    const empty = Buffer.alloc(0)
    const flight = await createFlight(digestOf(empty))
    flight.announce({ size: 0, source: 'upstream' })
    const joining = contentOf(flight)
    expect(await isPending(joining)).toBe(true)
    expect(flight.verify()).toBe(true)
    expect(await (await joining).read(Buffer.alloc(1), 0)).toBe(0)
    await flight.commit()
    expect(store.has(digestOf(empty))).toBe(true)
  })

  test('are not told that a blob is empty by a source that has nothing', async () => {
    const flight = await createFlight()
    flight.announce({ size: 0, source: 'upstream' })
    const joining = flight.join()
    expect(flight.verify()).toBe(false)
    await flight.restart()
    flight.announce({ size: bytes.length, source: 'upstream' })
    const joined = (await joining)!
    await using content = joined.content
    expect(content.size).toBe(bytes.length)
  })

  test('that leave are no longer counted, and take nothing from the others', async () => {
    const { flight, content } = await openFlight()
    const leaving = await contentOf(flight)
    await leaving[Symbol.asyncDispose]()
    await leaving[Symbol.asyncDispose]()
    expect(flight.readers).toBe(1)
    await finish(flight)
    expect(digestOf(await readContent(content))).toBe(digest)
    await content[Symbol.asyncDispose]()
    await expect(content.read(Buffer.alloc(1), 0)).rejects.toThrow('closed')
  })

  test('stop waiting when their signal aborts', async () => {
    const { content } = await openFlight()
    const stop = new AbortController()
    const reading = content.read(Buffer.alloc(1), 0, stop.signal)
    stop.abort(new Error('the client has gone'))
    await expect(reading).rejects.toThrow('the client has gone')
  })
})

describe('taking bytes that are in memory', () => {
  test('gives what was appended last, but not what is held back', async () => {
    const { flight, content } = await openFlight()
    const taking = content.take!(0)
    expect(await isPending(taking)).toBe(true)
    await flight.append(bytes.subarray(0, 100 * KIB))
    expect(await taking).toEqual(bytes.subarray(0, 100 * KIB))
    expect(await content.take!(40 * KIB)).toEqual(bytes.subarray(40 * KIB, 100 * KIB))
    await flight.append(bytes.subarray(100 * KIB, 290 * KIB))
    expect(await content.take!(100 * KIB)).toEqual(bytes.subarray(100 * KIB, 236 * KIB))
  })

  test('gives nothing that must be read from the file, nor the end', async () => {
    const { flight, content } = await openFlight()
    await flight.append(bytes.subarray(0, 100 * KIB))
    await flight.append(bytes.subarray(100 * KIB, 200 * KIB))
    expect(await content.take!(0)).toBeUndefined()
    await flight.append(bytes.subarray(200 * KIB, 250 * KIB), bytes.subarray(250 * KIB))
    expect(await content.take!(210 * KIB)).toBeUndefined()
    expect(flight.verify()).toBe(true)
    await flight.commit()
    expect(await content.take!(290 * KIB)).toBeUndefined()
    expect(await content.take!(bytes.length)).toBeUndefined()
  })

  test('cuts readers that saw bytes which were thrown away', async () => {
    const { flight, content } = await openFlight()
    await flight.append(wrong.subarray(0, 100 * KIB))
    expect(await content.take!(0)).toEqual(wrong.subarray(0, 100 * KIB))
    await flight.restart()
    flight.announce({ size: bytes.length, source: 'upstream' })
    await flight.append(bytes.subarray(0, 200 * KIB))
    await expect(content.take!(100 * KIB)).rejects.toThrow('the bytes so far were wrong')
  })
})

describe('restart()', () => {
  test('cuts the readers that saw bytes, and lets the others go on', async () => {
    const { flight, content: touched } = await openFlight()
    const waiting = await contentOf(flight)
    const reading = readContent(waiting, 290 * KIB)
    await flight.append(wrong)
    await touched.read(Buffer.alloc(10), 0)
    expect(flight.verify()).toBe(false)
    const cut = failureOf(touched.read(Buffer.alloc(10), 290 * KIB))
    await flight.restart()
    expect(await cut).toMatchObject({ message: expect.stringContaining('the bytes so far were wrong') })
    flight.announce({ size: bytes.length, source: 'upstream' })
    await finish(flight)
    expect((await reading).equals(bytes.subarray(290 * KIB))).toBe(true)
    await expect(touched.read(Buffer.alloc(10), 20)).rejects.toThrow('the bytes so far were wrong')
  })

  test('cuts a reader in the middle of a read', async () => {
    const gate = Promise.withResolvers<void>()
    const ingest = await store.ingest(digest)
    const readIngest = ingest.read.bind(ingest)
    ingest.read = (target, position) => gate.promise.then(() => readIngest(target, position))
    const flight = new Flight(digest, ingest)
    onTestFinished(() => flight.fail(new Error('the test is over')))
    flight.announce({ size: bytes.length, source: 'peer' })
    const content = await contentOf(flight)
    await flight.append(wrong)
    const cut = failureOf(content.read(Buffer.alloc(10), 0))
    await flight.restart()
    flight.announce({ size: bytes.length, source: 'upstream' })
    await flight.append(bytes.subarray(0, 200 * KIB))
    gate.resolve()
    expect(await cut).toMatchObject({ message: expect.stringContaining('the bytes so far were wrong') })
  })

  test('cuts everybody when the next source has another size', async () => {
    const flight = await createFlight()
    flight.announce({ size: 10, source: 'peer' })
    const content = await contentOf(flight)
    const reading = content.read(Buffer.alloc(1), 0)
    const cut = failureOf(reading)
    await flight.append(wrong.subarray(0, 10))
    await flight.restart()
    expect(await isPending(reading)).toBe(true)
    flight.announce({ size: bytes.length, source: 'upstream' })
    await flight.append(bytes.subarray(0, 200 * KIB))
    expect(await cut).toMatchObject({ message: expect.stringContaining('the bytes so far were wrong') })
  })

  test('makes new readers wait for the next source', async () => {
    const { flight } = await openFlight()
    await flight.restart()
    const joining = flight.join()
    expect(await isPending(joining)).toBe(true)
    expect(flight).toMatchObject({ written: 0, total: undefined, source: undefined })
    flight.announce({ size: bytes.length, source: 'peer' })
    expect((await joining)?.source).toBe('peer')
  })
})

describe('announce()', () => {
  test('refuses a source that names another size', async () => {
    const { flight } = await openFlight()
    expect(() => flight.announce({ size: 7, source: 'peer' })).toThrow(OciError)
    expect(flight).toMatchObject({ total: bytes.length, source: 'upstream' })
  })
})

describe('fail()', () => {
  test('cuts the readers, and leaves nothing behind', async () => {
    const { flight, content } = await openFlight()
    await flight.append(bytes.subarray(0, 200 * KIB))
    const cut = failureOf(readContent(content))
    await flight.fail(new OciError('UNKNOWN', 'upstream is gone'))
    expect(await cut).toMatchObject({ message: expect.stringContaining('upstream is gone') })
    expect(store.has(digest)).toBe(false)
  })
})
