import { type RegistryServer, waitFor } from '@layerlock/test-support'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { ScriptedCoordinator } from '../coordination/scripted-coordinator.testbed.ts'
import { failureOf } from '../failure-of.testbed.ts'
import type { Digest } from '../oci/digest.ts'
import { OciError } from '../oci/oci-error.ts'
import { copies, FetcherBed, follow, SIZE_BYTES } from './fetcher.testbed.ts'
import type { TestNode } from './node.testbed.ts'

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

describe('a node that leads', () => {
  test('fetches from upstream, commits, and then tells', async () => {
    coordinator.willAnswer(coordinator.lead)
    expect(await bed.pull()).toBe(digest)
    expect(coordinator.events).toEqual(['ask', 'completed', 'disposed'])
    expect(node.store.has(digest)).toBe(true)
    expect(bed.upstreamRanges()).toEqual([undefined])
  })

  test('fails when upstream sends wrong bytes, and stores nothing', async () => {
    registry.fault = () => ({ kind: 'corrupt', offset: 5 })
    coordinator.willAnswer(coordinator.lead)
    await expect(bed.pull()).rejects.toThrow(/wrong/)
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
    await expect(bed.pull()).rejects.toMatchObject({ code: 'DENIED' })
    expect(coordinator.events[1]).toMatch(/^failed DENIED/)
  })

  test('gives the lead back when it stops, which says nothing about the blob', async () => {
    registry.fault = () => ({ kind: 'hang', afterBytes: 1000 })
    coordinator.willAnswer(coordinator.lead)
    const pulling = failureOf(bed.pull())
    await waitFor(() => registry.requests.bytesOf() === 1000, { what: 'the first bytes' })
    await node.stop()
    expect(await pulling).toMatchObject({ message: 'the node stops' })
    expect(coordinator.events).toEqual(['ask', 'released', 'disposed'])
  })
})

test('a node that is refused fails with what others have found out, and asks upstream nothing', async () => {
  coordinator.willAnswer({ kind: 'refused', error: new OciError('DENIED', 'others were denied') })
  await expect(bed.pull()).rejects.toThrow('others were denied')
  expect(coordinator.events).toEqual(['ask', 'disposed'])
  expect(registry.requests.countOf()).toBe(0)
})

describe('a node that follows', () => {
  test('streams from the node that is still fetching, while it does', async () => {
    registry.rate.bytesPerSecond = 1_000_000
    const leader = await bed.startOther('leader')
    const leading = bed.pull(leader)
    coordinator.willAnswer(follow(leader.peer))
    expect(await bed.pull()).toBe(digest)
    expect(await leading).toBe(digest)
    expect(coordinator.events).toEqual(['ask', 'arrived', 'disposed'])
    expect(bed.upstreamRanges()).toEqual([undefined])
    expect(node.stats.bytes).toMatchObject({ peer: SIZE_BYTES, upstream: 0 })
  })

  test('goes on from its offset at another source when the first one dies', async () => {
    const dying = await bed.startSender(bytes, { cutAt: 150_000 })
    const holder = await bed.startSender(bytes)
    coordinator.willAnswer(follow(dying), follow(holder))
    expect(await bed.pull()).toBe(digest)
    expect(holder.requests.map(({ headers }) => headers.range)).toEqual(['bytes=150000-'])
    expect(coordinator.events).toEqual(['ask', 'ask', 'arrived', 'disposed'])
    expect(bed.upstreamRanges()).toEqual([])
  })

  test('goes on from its offset at upstream when it becomes the one to lead', async () => {
    const dying = await bed.startSender(bytes, { cutAt: 150_000 })
    coordinator.willAnswer(follow(dying), coordinator.lead)
    expect(await bed.pull()).toBe(digest)
    expect(bed.upstreamRanges()).toEqual(['bytes=150000-'])
    expect(coordinator.events).toEqual(['ask', 'ask', 'completed', 'disposed'])
  })

  test('leaves a source that has fallen silent when it is its turn to lead', async () => {
    const silent = await bed.startSender(bytes, { cutAt: 150_000, hang: true })
    coordinator.willAnswer(follow(silent))
    const pulling = bed.pull()
    await waitFor(() => node.stats.bytes.peer === 150_000, { what: 'the bytes of the silent source' })
    coordinator.sayNext(coordinator.lead)
    const saidMs = performance.now()
    await waitFor(() => bed.upstreamRanges().length > 0, { what: 'the request to upstream' })
    // It was given a chance to go on.
    expect(performance.now() - saidMs).toBeGreaterThan(900)
    expect(await pulling).toBe(digest)
    expect(bed.upstreamRanges()).toEqual(['bytes=150000-'])
    expect(coordinator.events).toEqual(['ask', 'completed', 'disposed'])
  })

  test('lets a stream that still flows end when it is its turn to lead, and asks upstream nothing', async () => {
    // Longer than a silence may be.
    registry.rate.bytesPerSecond = 300_000
    const leader = await bed.startOther('leader')
    const leading = bed.pull(leader)
    coordinator.willAnswer(follow(leader.peer))
    const pulling = bed.pull()
    await waitFor(() => node.stats.bytes.peer > 0, { what: 'the first bytes' })
    coordinator.sayNext(coordinator.lead)
    expect(await pulling).toBe(digest)
    expect(await leading).toBe(digest)
    expect(coordinator.events).toEqual(['ask', 'completed', 'arrived', 'disposed'])
    expect(bed.upstreamRanges()).toEqual([undefined])
    expect(node.stats.bytes).toMatchObject({ peer: SIZE_BYTES, upstream: 0 })
  })

  test('does not ask again and again when the blob is done elsewhere while it still streams', async () => {
    registry.rate.bytesPerSecond = 1_000_000
    const leader = await bed.startOther('leader')
    const leading = bed.pull(leader)
    coordinator.willAnswer(follow(leader.peer))
    coordinator.standing = copies(leader.peer)
    expect(await bed.pull()).toBe(digest)
    await leading
    expect(coordinator.nexts).toBe(1)
    expect(coordinator.events).toEqual(['ask', 'arrived', 'disposed'])
  })

  test('completes the lead that it gets while the last bytes are being stored', async () => {
    const holder = await bed.startHolder('holder')
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
    expect(await bed.pull()).toBe(digest)
    expect(store.has(digest)).toBe(true)
    expect(coordinator.events).toEqual(['ask', 'completed', 'arrived', 'disposed'])
    expect(bed.upstreamRanges()).toEqual([])
  })

  test('waits for a source where there is none yet', async () => {
    const holder = await bed.startHolder('holder')
    coordinator.willAnswer(follow(undefined))
    coordinator.sayNext(follow(undefined))
    coordinator.sayNext(follow(holder))
    expect(await bed.pull()).toBe(digest)
    expect(bed.upstreamRanges()).toEqual([])
  })

  test('streams on when the lock server goes away', async () => {
    registry.rate.bytesPerSecond = 1_000_000
    const leader = await bed.startOther('leader')
    const leading = bed.pull(leader)
    coordinator.willAnswer(follow(leader.peer))
    coordinator.sayNext(new Error('the lock server is away'))
    expect(await bed.pull()).toBe(digest)
    await leading
    expect(coordinator.events).toEqual(['ask', 'arrived', 'disposed'])
    expect(node.logger.lines).toContainEqual(expect.objectContaining({ level: 'warn' }))
  })

  test('asks again when the lock server goes away and there is no stream', async () => {
    coordinator.willAnswer(follow(undefined), coordinator.lead)
    coordinator.sayNext(new Error('the lock server is away'))
    expect(await bed.pull()).toBe(digest)
    expect(coordinator.events).toEqual(['ask', 'ask', 'completed', 'disposed'])
  })

  test('stops when the node stops', async () => {
    coordinator.willAnswer(follow(undefined))
    const pulling = failureOf(bed.pull())
    await waitFor(() => coordinator.events.includes('ask'), { what: 'the first question' })
    await node.stop()
    expect(await pulling).toMatchObject({ message: 'the node stops' })
    expect(coordinator.events).toEqual(['ask', 'disposed'])
  })
})
