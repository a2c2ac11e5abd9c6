import { readFile } from 'node:fs/promises'
import {
  createLayer,
  type FaultHook,
  type Layer,
  type RegistryServer,
  startRegistryServer,
  temporaryFolder,
  type TemporaryFolder,
} from '@layerlock/test-support'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { DiskContentStore } from '../content/disk-content-store.ts'
import { type Digest, parseDigest } from '../oci/digest.ts'
import { parseRepository } from '../oci/repository.ts'
import { ProxyStats } from '../status/proxy-stats.ts'
import { createTestLogger } from '../test-logger.testbed.ts'
import { createRegistryClient } from '../upstream/registry-client.testbed.ts'
import { fillFromUpstream } from './fill.ts'
import { Flight } from './flight.ts'

const sizeBytes = 400 * 1024
let folder: TemporaryFolder
let store: DiskContentStore
let layer: Layer
let digest: Digest

beforeAll(async () => {
  folder = await temporaryFolder('fill')
  store = await DiskContentStore.open(folder.path)
  layer = await createLayer({ folder: folder.path, sizeBytes, seed: 'fill' })
  digest = parseDigest(layer.digest)
})

afterAll(async () => {
  await folder[Symbol.asyncDispose]()
})

interface Fill {
  readonly registry: RegistryServer
  readonly flight: Flight
  readonly stats: ProxyStats
  /** What `fillFromUpstream` threw. */
  readonly error: unknown
}

/** Fills a flight from a registry that has this fault. */
async function fill(fault: FaultHook | undefined, { prepare = (_flight: Flight): unknown => 0, signal = never } = {}) {
  await using registry = await startRegistryServer({ fault })
  registry.contents.addBlob('library/app', { ...layer, mediaType: 'application/octet-stream' })
  const stats = new ProxyStats()
  await using upstream = createRegistryClient(registry.url, { stats })
  const flight = new Flight(digest, await store.ingest(digest))
  onTestFinished(() => flight.fail(new Error('the test is over')))
  await prepare(flight)
  const request = { upstream, repository: parseRepository('library/app'), kind: 'blobs' as const }
  const error: unknown = await fillFromUpstream(flight, request, { stats, logger: createTestLogger(), signal }).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  return { registry, flight, stats, error } satisfies Fill
}

/** Another source brings the first bytes. */
const appendFirst = (count: number) => async (flight: Flight) => {
  flight.announce({ size: sizeBytes, source: 'peer' })
  const bytes = await readFile(layer.path)
  await flight.append(bytes.subarray(0, count))
}

const never = new AbortController().signal
/** Where a Range begins after a cut: at the cut, or before it, since what was not read by then is lost. */
const startOf = (range: string | undefined) => Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1])
const ranges = ({ registry }: Fill) => registry.requests.matching({ method: 'GET' }).map(({ range }) => range)

test('fillFromUpstream() fills a flight in one go', async () => {
  const filled = await fill(undefined)
  expect(filled.error).toBeUndefined()
  expect(filled.flight.verify()).toBe(true)
  expect(filled.flight).toMatchObject({ written: sizeBytes, total: sizeBytes, source: 'upstream' })
  expect(ranges(filled)).toEqual([undefined])
  expect(filled.stats.bytes.upstream).toBe(sizeBytes)
})

test('fillFromUpstream() goes on after a cut, with a Range from where it is', async () => {
  const filled = await fill(({ nth }) => (nth === 1 ? { kind: 'cut', afterBytes: 100_000 } : undefined))
  expect(filled.flight.verify()).toBe(true)
  const [first, second, ...more] = ranges(filled)
  expect([first, more]).toEqual([undefined, []])
  expect(startOf(second)).toBeGreaterThan(0)
  expect(startOf(second)).toBeLessThanOrEqual(100_000)
  expect(filled.stats.bytes.upstream).toBe(sizeBytes)
})

test('fillFromUpstream() goes on after any number of cuts, as long as each try brings something', async () => {
  const filled = await fill(() => ({ kind: 'cut', afterBytes: 64 * 1024 }))
  expect(filled.flight.verify()).toBe(true)
  expect(filled.registry.requests.countOf({ method: 'GET' })).toBeGreaterThanOrEqual(7)
})

test('fillFromUpstream() goes on after a reset', async () => {
  const filled = await fill(({ nth }) => (nth === 1 ? { kind: 'reset', afterBytes: 100_000 } : undefined))
  expect(filled.flight.verify()).toBe(true)
  expect(filled.registry.requests.countOf({ method: 'GET' })).toBe(2)
})

test('fillFromUpstream() passes over what it has when upstream does not know Range', async () => {
  const filled = await fill(({ nth }) => (nth === 1 ? { kind: 'cut', afterBytes: 100_000 } : { kind: 'ignoreRange' }))
  expect(filled.flight.verify()).toBe(true)
  expect(filled.registry.requests.countOf({ status: 200 })).toBe(2)
})

test('fillFromUpstream() asks for the size where the answer does not tell it', async () => {
  const filled = await fill(({ method }) => (method === 'GET' ? { kind: 'noContentLength' } : undefined))
  expect(filled.flight.verify()).toBe(true)
  expect(filled.registry.requests.countOf({ method: 'HEAD' })).toBe(1)
})

test('fillFromUpstream() takes no more than the size', async () => {
  const { flight } = await fill(() => ({ kind: 'longer', bytes: 10 }), { prepare: appendFirst(sizeBytes - 10) })
  expect(flight.written).toBeLessThanOrEqual(sizeBytes)
})

test('fillFromUpstream() goes on when a part is shorter than was asked for', async () => {
  const filled = await fill(({ nth }) => {
    if (nth === 1) return { kind: 'cut', afterBytes: 100_000 }
    return nth === 2 ? { kind: 'shorter', bytes: 50_000 } : undefined
  })
  expect(filled.error).toBeUndefined()
  expect(filled.flight.verify()).toBe(true)
  expect(ranges(filled)).toHaveLength(3)
  expect(ranges(filled)[2]).toBe(`bytes=${sizeBytes - 50_000}-`)
})

test('fillFromUpstream() gives up after three tries in a row that bring next to nothing', async () => {
  const filled = await fill(() => ({ kind: 'cut', afterBytes: 1_000 }))
  expect(filled.error).toMatchObject({ code: 'UNKNOWN' })
  expect(filled.flight.written).toBeGreaterThan(0)
  expect(filled.registry.requests.countOf()).toBe(3)
})

test('fillFromUpstream() sits out no more than some seconds of pauses in all', async () => {
  const filled = await fill(() => ({ kind: 'status', status: 429 }))
  expect(filled.error).toMatchObject({ code: 'TOOMANYREQUESTS', retryAfterMs: 4_000 })
  expect(filled.registry.requests.countOf()).toBe(2)
})

test('fillFromUpstream() gives up after three tries in a row that bring nothing', async () => {
  const filled = await fill(() => ({ kind: 'cut' }))
  expect(filled.error).toMatchObject({ code: 'UNKNOWN' })
  expect(filled.registry.requests.countOf()).toBe(3)
})

test('fillFromUpstream() counts tries anew after one that brought something', async () => {
  const filled = await fill(({ nth }) => {
    if (nth === 3) return { kind: 'cut', afterBytes: 100_000 }
    return nth <= 5 ? { kind: 'cut' } : undefined
  })
  expect(filled.error).toBeUndefined()
  expect(filled.registry.requests.countOf()).toBe(6)
})

test.each([
  [404, 'BLOB_UNKNOWN'],
  [403, 'DENIED'],
  [429, 'TOOMANYREQUESTS'],
])('fillFromUpstream() does not try again what upstream refuses with %i', async (status, code) => {
  const filled = await fill(() => ({ kind: 'status', status, headers: { 'Retry-After': '60' } }))
  expect(filled.error).toMatchObject({ code })
  expect(filled.registry.requests.countOf()).toBe(1)
})

test('fillFromUpstream() sits out a short pause that upstream asks for, and goes on where it was', async () => {
  const filled = await fill(({ nth }) => {
    if (nth === 1) return { kind: 'cut', afterBytes: 100_000 }
    return nth === 2 ? { kind: 'status', status: 429, headers: { 'Retry-After': '1' } } : undefined
  })
  expect(filled.error).toBeUndefined()
  const [, limited, resumed] = filled.registry.requests.all
  expect(resumed).toMatchObject({ range: limited!.range, status: 206 })
  expect(resumed!.startedMs - limited!.startedMs).toBeGreaterThan(990)
})

test('fillFromUpstream() tries again after a 503', async () => {
  const filled = await fill(({ nth }) => (nth === 1 ? { kind: 'status', status: 503 } : undefined))
  expect(filled.flight.verify()).toBe(true)
})

test('fillFromUpstream() goes on from the bytes that another source has brought', async () => {
  const filled = await fill(undefined, { prepare: appendFirst(300_000) })
  expect(filled.flight.verify()).toBe(true)
  expect(ranges(filled)).toEqual(['bytes=300000-'])
})

test('fillFromUpstream() believes upstream when another source has named another size', async () => {
  const prepare = async (flight: Flight) => {
    flight.announce({ size: 7_000_000, source: 'peer' })
    await flight.append(Buffer.alloc(1_000))
  }
  const filled = await fill(undefined, { prepare })
  expect(filled.error).toBeUndefined()
  expect(filled.flight.verify()).toBe(true)
})

test('fillFromUpstream() ends with the reason of its signal', async () => {
  const stop = new AbortController()
  const reason = new Error('the proxy stops')
  const fault: FaultHook = () => {
    setTimeout(() => stop.abort(reason), 10)
    return { kind: 'hang', afterBytes: 1000 }
  }
  const { error } = await fill(fault, { signal: stop.signal })
  expect(error).toBe(reason)
})
