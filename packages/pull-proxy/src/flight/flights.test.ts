import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  createLayer,
  type Layer,
  type RegistryServer,
  startRegistryServer,
  temporaryFolder,
  type TemporaryFolder,
  waitFor,
} from '@layerlock/test-support'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readContent } from '../content/read-content.testbed.ts'
import { ScriptedCoordinator } from '../coordination/scripted-coordinator.testbed.ts'
import { failureOf } from '../failure-of.testbed.ts'
import { type Digest, digestOf, parseDigest } from '../oci/digest.ts'
import { parseRepository } from '../oci/repository.ts'
import { createRegistryClient } from '../upstream/registry-client.testbed.ts'
import type { RegistryClient } from '../upstream/registry-client.ts'
import type { FetchRequest } from './fetch-request.ts'
import type { Opened } from './flights.ts'
import { startNode, type TestNode } from './node.testbed.ts'

const sizeBytes = 300 * 1024
let folder: TemporaryFolder
let registry: RegistryServer
let upstream: RegistryClient
let node: TestNode
let layer: Layer
let digest: Digest
let request: FetchRequest

beforeEach(async () => {
  folder = await temporaryFolder('flights')
  layer = await createLayer({ folder: folder.path, sizeBytes, seed: 'flights' })
  digest = parseDigest(layer.digest)
  registry = await startRegistryServer()
  registry.contents.addBlob('library/app', { ...layer, mediaType: 'application/octet-stream' })
  upstream = createRegistryClient(registry.url)
  node = await startNode({ name: 'node-a', folder: folder.path })
  request = { upstream, repository: parseRepository('library/app'), kind: 'blobs' }
})

afterEach(async () => {
  await node[Symbol.asyncDispose]()
  await upstream[Symbol.asyncDispose]()
  await registry[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

async function readAndClose({ content }: Opened): Promise<string> {
  await using opened = content
  return digestOf(await readContent(opened))
}

function isUnderWay(): Promise<unknown> {
  return waitFor(async () => (await node.flights.status()).length > 0, { what: 'a flight' })
}

test('open() fetches once for eight who ask at the same time', async () => {
  const opened = await Promise.all(Array.from({ length: 8 }, () => node.flights.open(digest, request)))
  expect(opened.map(({ source }) => source).toSorted()).toEqual([...Array<string>(7).fill('inflight'), 'upstream'])
  expect(await Promise.all(opened.map(readAndClose))).toEqual(Array<string>(8).fill(digest))
  expect(registry.requests.countOf({ method: 'GET', digest })).toBe(1)
})

test('open() finds what was fetched before in the store', async () => {
  await readAndClose(await node.flights.open(digest, request))
  await node.flights.idle()
  const again = await node.flights.open(digest, request)
  expect(again.source).toBe('store')
  expect(await readAndClose(again)).toBe(digest)
  expect(registry.requests.countOf({ method: 'GET' })).toBe(1)
})

test('open() does not fetch again what lands between its two look-ups', async () => {
  const { store, flights } = node
  const openStored = store.open.bind(store)
  const looked = Promise.withResolvers<void>()
  const landed = Promise.withResolvers<void>()
  // The second caller looks into the store, finds nothing, and is held up until the first one's flight has landed.
  store.open = async (wanted) => {
    const found = await openStored(wanted)
    store.open = openStored
    looked.resolve()
    await landed.promise
    return found
  }
  const late = flights.open(digest, request)
  await looked.promise
  await readAndClose(await flights.open(digest, request))
  await flights.idle()
  landed.resolve()
  const opened = await late
  expect(opened.source).toBe('store')
  expect(await readAndClose(opened)).toBe(digest)
  expect(registry.requests.countOf({ method: 'GET' })).toBe(1)
})

test('open() tries again after a flight that has failed', async () => {
  registry.fault = () => ({ kind: 'status', status: 404 })
  const failed = await Promise.allSettled([node.flights.open(digest, request), node.flights.open(digest, request)])
  const unknown = { status: 'rejected', reason: { code: 'BLOB_UNKNOWN' } }
  expect(failed).toMatchObject([unknown, unknown])
  await node.flights.idle()
  registry.fault = undefined
  expect(await readAndClose(await node.flights.open(digest, request))).toBe(digest)
})

test('open() passes the failure of one repository on to nobody who asks through another', async () => {
  registry.fault = ({ repository }) => (repository === 'library/other' ? { kind: 'delay', ms: 100 } : undefined)
  const other = { ...request, repository: parseRepository('library/other') }
  const failing = failureOf(node.flights.open(digest, other))
  await isUnderWay()
  const joining = node.flights.open(digest, request)
  expect(await failing).toMatchObject({ code: 'BLOB_UNKNOWN' })
  expect(await readAndClose(await joining)).toBe(digest)
  expect(registry.requests.matching({ method: 'GET', digest }).map(({ repository }) => repository)).toEqual([
    'library/other',
    'library/app',
  ])
})

/** A node that leads twice; what comes of its first lead is told only when a gate opens. */
async function startHeldUp(): Promise<{ held: TestNode; told: Promise<void>; open: () => void }> {
  const gate = Promise.withResolvers<void>()
  const told = Promise.withResolvers<void>()
  const tell = () => {
    told.resolve()
    return gate.promise
  }
  const coordinator = new ScriptedCoordinator()
  coordinator.willAnswer({ kind: 'lead', lead: { completed: tell, failed: tell, released: tell } }, coordinator.lead)
  const held = await startNode({ name: 'held-up', folder: folder.path, coordinator })
  return { held, told: told.promise, open: gate.resolve }
}

test('open() does not join a flight that has failed, while the others are still being told', async () => {
  const { held, told, open } = await startHeldUp()
  await using _ = held
  try {
    registry.fault = () => ({ kind: 'status', status: 404 })
    expect(await failureOf(held.flights.open(digest, request))).toMatchObject({ code: 'BLOB_UNKNOWN' })
    await told
    registry.fault = undefined
    expect(await held.flights.status()).toEqual([])
    expect(await readAndClose(await held.flights.open(digest, request))).toBe(digest)
  } finally {
    open()
  }
})

test('open() fetches again what was deleted while its flight still tells of it', async () => {
  const { held, told, open } = await startHeldUp()
  await using _ = held
  try {
    await readAndClose(await held.flights.open(digest, request))
    await told
    const [, hex] = digest.split(':')
    await rm(join(folder.path, 'held-up', 'blobs', 'sha256', hex!))
    expect(await readAndClose(await held.flights.open(digest, request))).toBe(digest)
    expect(registry.requests.countOf({ method: 'GET', digest })).toBe(2)
  } finally {
    open()
  }
})

test('open() rejects when the store cannot take the blob, and tries again the next time', async () => {
  const { store } = node
  const ingest = store.ingest.bind(store)
  store.ingest = () => {
    store.ingest = ingest
    return Promise.reject(new Error('no space left'))
  }
  await expect(node.flights.open(digest, request)).rejects.toThrow('no space left')
  await node.flights.idle()
  expect(await readAndClose(await node.flights.open(digest, request))).toBe(digest)
})

test('open() fetches again what somebody has deleted from the store', async () => {
  await readAndClose(await node.flights.open(digest, request))
  await node.flights.idle()
  await node.store.delete(digest)
  expect((await node.flights.open(digest, request)).source).toBe('upstream')
  await node.flights.idle()
  expect(node.store.has(digest)).toBe(true)
})

test('a flight goes on when all its readers have left', async () => {
  const { content } = await node.flights.open(digest, request)
  await content[Symbol.asyncDispose]()
  await node.flights.idle()
  expect(node.store.has(digest)).toBe(true)
})

test('peek() fetches nothing, but joins what is on its way', async () => {
  expect(await node.flights.peek(digest)).toBeUndefined()
  registry.fault = () => ({ kind: 'delay', ms: 50 })
  const opening = node.flights.open(digest, request)
  await isUnderWay()
  const joined = (await node.flights.peek(digest))!
  expect(joined.source).toBe('inflight')
  expect(await readAndClose(joined)).toBe(digest)
  await readAndClose(await opening)
  expect(registry.requests.countOf()).toBe(1)
})

test('peek() rejects when the flight that it would join fails', async () => {
  registry.fault = () => ({ kind: 'delay', ms: 10_000 })
  const opening = failureOf(node.flights.open(digest, request))
  await isUnderWay()
  const peeking = failureOf(node.flights.peek(digest))
  await node.stop()
  expect(await peeking).toMatchObject({ message: 'the node stops' })
  expect(await opening).toMatchObject({ message: 'the node stops' })
})

test('status() tells of flights that are under way, and of none that has landed', async () => {
  registry.fault = ({ range }) => (range === undefined ? { kind: 'hang', afterBytes: 100_000 } : undefined)
  const { content } = await node.flights.open(digest, request)
  await content.read(Buffer.alloc(1), 0)
  const [status] = await node.flights.status()
  expect(status).toMatchObject({ digest, source: 'upstream', total: sizeBytes, readers: 1 })
  expect(status!.done).toBeGreaterThan(0)
  await content[Symbol.asyncDispose]()
  await node.stop()
  expect(await node.flights.status()).toEqual([])
  expect(node.store.has(digest)).toBe(false)
})

test('what is served has the bytes of upstream', async () => {
  const { content } = await node.flights.open(digest, request)
  await using opened = content
  expect((await readContent(opened)).equals(await readFile(layer.path))).toBe(true)
})
