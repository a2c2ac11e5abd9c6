import { readFile } from 'node:fs/promises'
import {
  createLayer,
  type Layer,
  type RegistryServer,
  startRegistryServer,
  temporaryFolder,
  type TemporaryFolder,
  waitFor,
} from '@layerlock/test-support'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { readContent } from '../content/read-content.testbed.ts'
import type { ClaimAnswer } from '../coordination/coordinator.ts'
import { ScriptedCoordinator } from '../coordination/scripted-coordinator.testbed.ts'
import { failureOf } from '../failure-of.testbed.ts'
import { startHttpServer } from '../http-server.testbed.ts'
import { type Digest, digestOf, parseDigest } from '../oci/digest.ts'
import { OciError } from '../oci/oci-error.ts'
import { parseRepository } from '../oci/repository.ts'
import type { Peer } from '../relay/peer.ts'
import { createRegistryClient } from '../upstream/registry-client.testbed.ts'
import { startNode, type TestNode } from './node.testbed.ts'
import { type SenderOptions, startSender as startSenderOf } from './sender.testbed.ts'

const sizeBytes = 400 * 1024
let stack: AsyncDisposableStack
let folder: TemporaryFolder
let registry: RegistryServer
let layer: Layer
let digest: Digest
let bytes: Buffer
let coordinator: ScriptedCoordinator
/** The node whose fetcher is tested. */
let node: TestNode

beforeEach(async () => {
  stack = new AsyncDisposableStack()
  folder = stack.use(await temporaryFolder('fetcher'))
  layer = await createLayer({ folder: folder.path, sizeBytes, seed: 'fetcher' })
  digest = parseDigest(layer.digest)
  bytes = await readFile(layer.path)
  registry = stack.use(await startRegistryServer())
  registry.contents.addBlob('library/app', { ...layer, mediaType: 'application/octet-stream' })
  coordinator = new ScriptedCoordinator()
  node = stack.use(await startNode({ name: 'tested', folder: folder.path, coordinator }))
})

afterEach(async () => {
  await stack.disposeAsync()
})

/** Opens the blob at a node and reads it to its end. */
async function pull(from = node): Promise<string> {
  await using upstream = createRegistryClient(registry.url)
  const request = { upstream, repository: parseRepository('library/app'), kind: 'blobs' as const }
  try {
    const opened = await from.flights.open(digest, request)
    await using content = opened.content
    return digestOf(await readContent(content))
  } finally {
    await from.flights.idle()
  }
}

/** Another node that has the blob in its store. */
async function startHolder(name: string): Promise<Peer> {
  const holder = stack.use(await startNode({ name, folder: folder.path }))
  const ingest = await holder.store.ingest(digest)
  await ingest.append(bytes)
  await ingest.commit()
  await ingest.release()
  return holder.peer
}

/** Another node that does not have it. */
async function startEmpty(name: string): Promise<Peer> {
  return stack.use(await startNode({ name, folder: folder.path })).peer
}

const startSender = async (sent: Buffer, options: Omit<SenderOptions, 'received'> = {}) =>
  stack.use(await startSenderOf(sent, { ...options, received: () => node.stats.bytes.peer }))

const unreachable: Peer = { node: 'unreachable', endpoint: 'http://127.0.0.1:1' }
const follow = (source: Peer | undefined): ClaimAnswer => ({ kind: 'follow', source })
const copies = (...peers: Peer[]): ClaimAnswer => ({ kind: 'copies', copies: peers, outcome: 7 })
const upstreamRanges = () => registry.requests.matching({ method: 'GET', digest }).map(({ range }) => range)

describe('a node that leads', () => {
  test('fetches from upstream, commits, and then tells', async () => {
    coordinator.willAnswer(coordinator.lead)
    expect(await pull()).toBe(digest)
    expect(coordinator.events).toEqual(['ask', 'completed', 'disposed'])
    expect(node.store.has(digest)).toBe(true)
    expect(upstreamRanges()).toEqual([undefined])
  })

  test('fails when upstream sends wrong bytes, and stores nothing', async () => {
    registry.fault = () => ({ kind: 'corrupt', offset: 5 })
    coordinator.willAnswer(coordinator.lead)
    await expect(pull()).rejects.toThrow(/wrong/)
    expect(coordinator.events).toMatchObject([
      'ask',
      expect.stringMatching(/^failed UNKNOWN .*wrong bytes/),
      'disposed',
    ])
    expect(node.store.totals()).toEqual({ blobs: 0, bytes: 0 })
  })

  test('passes on what upstream refuses', async () => {
    registry.fault = () => ({ kind: 'status', status: 403 })
    coordinator.willAnswer(coordinator.lead)
    await expect(pull()).rejects.toMatchObject({ code: 'DENIED' })
    expect(coordinator.events[1]).toMatch(/^failed DENIED/)
  })

  test('gives the lead back when it stops, which says nothing about the blob', async () => {
    registry.fault = () => ({ kind: 'hang', afterBytes: 1000 })
    coordinator.willAnswer(coordinator.lead)
    const pulling = failureOf(pull())
    await waitFor(() => registry.requests.bytesOf() === 1000, { what: 'the first bytes' })
    await node.stop()
    expect(await pulling).toMatchObject({ message: 'the node stops' })
    expect(coordinator.events).toEqual(['ask', 'released', 'disposed'])
  })
})

test('a node that is refused fails with what others have found out, and asks upstream nothing', async () => {
  coordinator.willAnswer({ kind: 'refused', error: new OciError('DENIED', 'others were denied') })
  await expect(pull()).rejects.toThrow('others were denied')
  expect(coordinator.events).toEqual(['ask', 'disposed'])
  expect(registry.requests.countOf()).toBe(0)
})

describe('a node that follows', () => {
  test('streams from the node that is still fetching, while it does', async () => {
    registry.rate.bytesPerSecond = 1_000_000
    const leader = stack.use(await startNode({ name: 'leader', folder: folder.path }))
    const leading = pull(leader)
    coordinator.willAnswer(follow(leader.peer))
    expect(await pull()).toBe(digest)
    expect(await leading).toBe(digest)
    expect(coordinator.events).toEqual(['ask', 'arrived', 'disposed'])
    expect(upstreamRanges()).toEqual([undefined])
    expect(node.stats.bytes).toMatchObject({ peer: sizeBytes, upstream: 0 })
  })

  test('goes on from its offset at another source when the first one dies', async () => {
    const dying = await startSender(bytes, { cutAt: 150_000 })
    const holder = await startSender(bytes)
    coordinator.willAnswer(follow(dying), follow(holder))
    expect(await pull()).toBe(digest)
    expect(holder.requests.map(({ headers }) => headers.range)).toEqual(['bytes=150000-'])
    expect(coordinator.events).toEqual(['ask', 'ask', 'arrived', 'disposed'])
    expect(upstreamRanges()).toEqual([])
  })

  test('goes on from its offset at upstream when it becomes the one to lead', async () => {
    const dying = await startSender(bytes, { cutAt: 150_000 })
    coordinator.willAnswer(follow(dying), coordinator.lead)
    expect(await pull()).toBe(digest)
    expect(upstreamRanges()).toEqual(['bytes=150000-'])
    expect(coordinator.events).toEqual(['ask', 'ask', 'completed', 'disposed'])
  })

  test('leaves a source that has fallen silent when it is its turn to lead', async () => {
    const silent = await startSender(bytes, { cutAt: 150_000, hang: true })
    coordinator.willAnswer(follow(silent))
    const pulling = pull()
    await waitFor(() => node.stats.bytes.peer === 150_000, { what: 'the bytes of the silent source' })
    coordinator.sayNext(coordinator.lead)
    expect(await pulling).toBe(digest)
    expect(upstreamRanges()).toEqual(['bytes=150000-'])
  })

  test('completes the lead that it gets while the last bytes are being stored', async () => {
    const holder = await startHolder('holder')
    const { store } = node
    const ingest = store.ingest.bind(store)
    store.ingest = async (wanted) => {
      const made = await ingest(wanted)
      const commit = made.commit.bind(made)
      made.commit = async () => {
        coordinator.sayNext(coordinator.lead)
        // Long enough for the answer to arrive before the blob is in its place.
        await new Promise((resolve) => setTimeout(resolve, 20))
        await commit()
      }
      return made
    }
    coordinator.willAnswer(follow(holder))
    expect(await pull()).toBe(digest)
    expect(store.has(digest)).toBe(true)
    expect(coordinator.events).toEqual(['ask', 'completed', 'arrived', 'disposed'])
    expect(upstreamRanges()).toEqual([])
  })

  test('waits for a source where there is none yet', async () => {
    const holder = await startHolder('holder')
    coordinator.willAnswer(follow(undefined))
    coordinator.sayNext(follow(undefined))
    coordinator.sayNext(follow(holder))
    expect(await pull()).toBe(digest)
    expect(upstreamRanges()).toEqual([])
  })

  test('streams on when the lock server goes away', async () => {
    registry.rate.bytesPerSecond = 1_000_000
    const leader = stack.use(await startNode({ name: 'leader', folder: folder.path }))
    const leading = pull(leader)
    coordinator.willAnswer(follow(leader.peer))
    coordinator.sayNext(new Error('the lock server is away'))
    expect(await pull()).toBe(digest)
    await leading
    expect(coordinator.events).toEqual(['ask', 'arrived', 'disposed'])
    expect(node.logger.lines).toContainEqual(expect.objectContaining({ level: 'warn' }))
  })

  test('asks again when the lock server goes away and there is no stream', async () => {
    coordinator.willAnswer(follow(undefined), coordinator.lead)
    coordinator.sayNext(new Error('the lock server is away'))
    expect(await pull()).toBe(digest)
    expect(coordinator.events).toEqual(['ask', 'ask', 'completed', 'disposed'])
  })

  test('stops when the node stops', async () => {
    coordinator.willAnswer(follow(undefined))
    const pulling = failureOf(pull())
    await waitFor(() => coordinator.events.includes('ask'), { what: 'the first question' })
    await node.stop()
    expect(await pulling).toMatchObject({ message: 'the node stops' })
    expect(coordinator.events).toEqual(['ask', 'disposed'])
  })
})

describe('a node that is told of copies', () => {
  test('takes the blob from one of them, and says that it has it now', async () => {
    const holder = await startHolder('holder')
    coordinator.willAnswer(copies(holder))
    expect(await pull()).toBe(digest)
    expect(coordinator.events).toEqual(['ask', 'arrived', 'disposed'])
    expect(node.stats.bytes).toMatchObject({ peer: sizeBytes, upstream: 0 })
    expect(registry.requests.countOf()).toBe(0)
  })

  test('goes on at the next copy, from its offset, when one breaks off', async () => {
    const dying = await startSender(bytes, { cutAt: 100_000 })
    const second = await startSender(bytes)
    coordinator.willAnswer(copies(unreachable, dying, second))
    expect(await pull()).toBe(digest)
    expect(second.requests.map(({ headers }) => headers.range)).toEqual(['bytes=100000-'])
    expect(coordinator.events).toEqual(['ask', 'arrived', 'disposed'])
  })

  test('forgets the outcome when all copies are gone, and asks again', async () => {
    coordinator.willAnswer(copies(await startEmpty('empty-1'), await startEmpty('empty-2')), coordinator.lead)
    expect(await pull()).toBe(digest)
    expect(coordinator.events).toEqual(['ask', 'forget 7', 'ask', 'completed', 'disposed'])
  })

  test('forgets the outcome when there are no copies at all', async () => {
    coordinator.willAnswer(copies(), coordinator.lead)
    expect(await pull()).toBe(digest)
    expect(coordinator.events).toEqual(['ask', 'forget 7', 'ask', 'completed', 'disposed'])
  })

  test('insists when an outcome that it has forgotten is still there', async () => {
    const empty = await startEmpty('empty')
    coordinator.willAnswer(copies(empty), copies(empty), coordinator.lead)
    expect(await pull()).toBe(digest)
    expect(coordinator.events).toEqual(['ask', 'forget 7', 'ask', 'insist', 'ask', 'completed', 'disposed'])
  })

  test('insists when no copy can be reached: they may be there for others', async () => {
    coordinator.willAnswer(copies(unreachable), coordinator.lead)
    expect(await pull()).toBe(digest)
    expect(coordinator.events).toEqual(['ask', 'insist', 'ask', 'completed', 'disposed'])
  })

  test('blames a copy that lies, insists, and stores the right bytes', async () => {
    const liar = await startSender(Buffer.alloc(sizeBytes, 1))
    coordinator.willAnswer(copies(liar), coordinator.lead)
    expect(await pull().catch(() => pull())).toBe(digest)
    expect(coordinator.events.slice(0, 5)).toEqual(['ask', 'insist', 'ask', 'completed', 'disposed'])
    expect(node.peers.isBlamed(liar, digest)).toBe(true)
    expect(upstreamRanges()).toEqual([undefined])
  })

  test('does not ask a copy again that it has blamed', async () => {
    const liar = await startSender(bytes)
    node.peers.blame(liar, digest)
    coordinator.willAnswer(copies(liar), coordinator.lead)
    expect(await pull()).toBe(digest)
    expect(liar.requests).toEqual([])
  })

  test('finds the one that lies when bytes of two do not fit together, and blames no other', async () => {
    const liar = await startSender(Buffer.alloc(sizeBytes, 1), { cutAt: 100_000 })
    const honest = await startSender(bytes)
    coordinator.willAnswer(copies(liar, honest))
    expect(await pull().catch(() => pull())).toBe(digest)
    expect(honest.requests.map(({ headers }) => headers.range)).toEqual(['bytes=100000-', undefined])
    expect(node.peers.isBlamed(honest, digest)).toBe(false)
    expect(coordinator.events).toEqual(['ask', 'arrived', 'disposed'])
  })

  test('hangs up on a copy that names another size than the one before', async () => {
    const dying = await startSender(bytes, { cutAt: 1_000 })
    const left = Promise.withResolvers<void>()
    const liar = await startHttpServer(({ socket }, response) => {
      socket.once('close', left.resolve)
      response.writeHead(206, { 'content-range': 'bytes 1000-1999/2000', 'content-length': 1_000 }).write('x')
    })
    stack.use(liar)
    const peer = { node: 'liar', endpoint: liar.url }
    coordinator.willAnswer(copies(dying, peer), coordinator.lead)
    expect(await pull()).toBe(digest)
    await left.promise
  })

  test('believes upstream when a copy lies about the size and breaks off', async () => {
    const liar = await startSender(Buffer.alloc(sizeBytes * 2, 1), { cutAt: 1_000 })
    coordinator.willAnswer(copies(liar), coordinator.lead)
    await pull().catch(() => undefined)
    expect(node.store.has(digest)).toBe(true)
    expect(coordinator.events).toEqual(['ask', 'insist', 'ask', 'completed', 'disposed'])
  })

  test('fetches all of it from upstream when what others sent does not fit', async () => {
    const liar = await startSender(Buffer.alloc(sizeBytes, 1), { cutAt: 100_000 })
    coordinator.willAnswer(copies(liar), coordinator.lead)
    await pull().catch(() => undefined)
    expect(node.store.has(digest)).toBe(true)
    expect(upstreamRanges()).toEqual(['bytes=100000-', undefined])
    expect(coordinator.events).toEqual(['ask', 'insist', 'ask', 'completed', 'disposed'])
  })
})
