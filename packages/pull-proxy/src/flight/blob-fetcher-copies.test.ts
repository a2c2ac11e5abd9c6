import type { RegistryServer } from '@layerlock/test-support'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { ScriptedCoordinator } from '../coordination/scripted-coordinator.testbed.ts'
import { startHttpServer } from '../http-server.testbed.ts'
import type { Digest } from '../oci/digest.ts'
import type { Peer } from '../relay/peer.ts'
import { copies, FetcherBed, SIZE_BYTES } from './fetcher.testbed.ts'
import type { TestNode } from './node.testbed.ts'

const unreachable: Peer = { node: 'unreachable', endpoint: 'http://127.0.0.1:1' }
let bed: FetcherBed
let registry: RegistryServer
let digest: Digest
let bytes: Buffer
let coordinator: ScriptedCoordinator
let node: TestNode

beforeEach(async () => {
  bed = await FetcherBed.start()
  ;({ registry, digest, bytes, coordinator, node } = bed)
})

afterEach(async () => {
  await bed[Symbol.asyncDispose]()
})

describe('a node that is told of copies', () => {
  test('takes the blob from one of them, and says that it has it now', async () => {
    const holder = await bed.startHolder('holder')
    coordinator.willAnswer(copies(holder))
    expect(await bed.pull()).toBe(digest)
    expect(coordinator.events).toEqual(['ask', 'arrived', 'disposed'])
    expect(node.stats.bytes).toMatchObject({ peer: SIZE_BYTES, upstream: 0 })
    expect(registry.requests.countOf()).toBe(0)
  })

  test('goes on at the next copy, from its offset, when one breaks off', async () => {
    const dying = await bed.startSender(bytes, { cutAt: 100_000 })
    const second = await bed.startSender(bytes)
    coordinator.willAnswer(copies(unreachable, dying, second))
    expect(await bed.pull()).toBe(digest)
    expect(second.requests.map(({ headers }) => headers.range)).toEqual(['bytes=100000-'])
    expect(coordinator.events).toEqual(['ask', 'arrived', 'disposed'])
  })

  test('forgets the outcome when all copies are gone, and asks again', async () => {
    coordinator.willAnswer(
      copies((await bed.startOther('empty-1')).peer, (await bed.startOther('empty-2')).peer),
      coordinator.lead,
    )
    expect(await bed.pull()).toBe(digest)
    expect(coordinator.events).toEqual(['ask', 'forget 7', 'ask', 'completed', 'disposed'])
  })

  test('forgets the outcome when there are no copies at all', async () => {
    coordinator.willAnswer(copies(), coordinator.lead)
    expect(await bed.pull()).toBe(digest)
    expect(coordinator.events).toEqual(['ask', 'forget 7', 'ask', 'completed', 'disposed'])
  })

  test('insists when an outcome that it has forgotten is still there', async () => {
    const empty = (await bed.startOther('empty')).peer
    coordinator.willAnswer(copies(empty), copies(empty), coordinator.lead)
    expect(await bed.pull()).toBe(digest)
    expect(coordinator.events).toEqual(['ask', 'forget 7', 'ask', 'insist', 'ask', 'completed', 'disposed'])
  })

  test('insists when no copy can be reached: they may be there for others', async () => {
    coordinator.willAnswer(copies(unreachable), coordinator.lead)
    expect(await bed.pull()).toBe(digest)
    expect(coordinator.events).toEqual(['ask', 'insist', 'ask', 'completed', 'disposed'])
  })

  test('blames a copy that lies, insists, and stores the right bytes', async () => {
    const liar = await bed.startSender(Buffer.alloc(SIZE_BYTES, 1))
    coordinator.willAnswer(copies(liar), coordinator.lead)
    expect(await bed.pull().catch(() => bed.pull())).toBe(digest)
    expect(coordinator.events.slice(0, 5)).toEqual(['ask', 'insist', 'ask', 'completed', 'disposed'])
    expect(node.peers.isBlamed(liar, digest)).toBe(true)
    expect(bed.upstreamRanges()).toEqual([undefined])
  })

  test('does not ask a copy again that it has blamed', async () => {
    const liar = await bed.startSender(bytes)
    node.peers.blame(liar, digest)
    coordinator.willAnswer(copies(liar), coordinator.lead)
    expect(await bed.pull()).toBe(digest)
    expect(liar.requests).toEqual([])
  })

  test('finds the one that lies when bytes of two do not fit together, and blames no other', async () => {
    const liar = await bed.startSender(Buffer.alloc(SIZE_BYTES, 1), { cutAt: 100_000 })
    const honest = await bed.startSender(bytes)
    coordinator.willAnswer(copies(liar, honest))
    expect(await bed.pull().catch(() => bed.pull())).toBe(digest)
    expect(honest.requests.map(({ headers }) => headers.range)).toEqual(['bytes=100000-', undefined])
    expect(node.peers.isBlamed(honest, digest)).toBe(false)
    expect(coordinator.events).toEqual(['ask', 'arrived', 'disposed'])
  })

  test('hangs up on a copy that names another size than the one before', async () => {
    const dying = await bed.startSender(bytes, { cutAt: 1_000 })
    const left = Promise.withResolvers<void>()
    const liar = await startHttpServer(({ socket }, response) => {
      socket.once('close', left.resolve)
      response.writeHead(206, { 'content-range': 'bytes 1000-1999/2000', 'content-length': 1_000 }).write('x')
    })
    bed.stack.use(liar)
    const peer = { node: 'liar', endpoint: liar.url }
    coordinator.willAnswer(copies(dying, peer), coordinator.lead)
    expect(await bed.pull()).toBe(digest)
    await left.promise
  })

  test('believes upstream when a copy lies about the size and breaks off', async () => {
    const liar = await bed.startSender(Buffer.alloc(SIZE_BYTES * 2, 1), { cutAt: 1_000 })
    coordinator.willAnswer(copies(liar), coordinator.lead)
    await bed.pull().catch(() => undefined)
    expect(node.store.has(digest)).toBe(true)
    expect(coordinator.events).toEqual(['ask', 'insist', 'ask', 'completed', 'disposed'])
  })

  test('fetches all of it from upstream when what others sent does not fit', async () => {
    const liar = await bed.startSender(Buffer.alloc(SIZE_BYTES, 1), { cutAt: 100_000 })
    coordinator.willAnswer(copies(liar), coordinator.lead)
    await bed.pull().catch(() => undefined)
    expect(node.store.has(digest)).toBe(true)
    expect(bed.upstreamRanges()).toEqual(['bytes=100000-', undefined])
    expect(coordinator.events).toEqual(['ask', 'insist', 'ask', 'completed', 'disposed'])
  })
})
