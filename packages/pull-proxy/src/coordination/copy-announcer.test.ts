import type { LockClient } from '@layerlock/client'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { digestOf } from '../oci/digest.ts'
import { createTestLogger } from '../test-logger.testbed.ts'
import { blobKey, CopyAnnouncer } from './copy-announcer.ts'

const digests = Array.from({ length: 10 }, (_, index) => digestOf(Buffer.from(`blob ${index}`)))
let told: string[]
let isAway: boolean
let announcer: CopyAnnouncer

beforeEach(() => {
  vi.useFakeTimers()
  told = []
  isAway = false
  const updateCopies = ({ add = [] }: { add?: string[] }) => {
    if (isAway) return Promise.reject(new Error('the lock server is away'))
    told.push(...add)
    return Promise.resolve()
  }
  announcer = new CopyAnnouncer({ updateCopies } as unknown as LockClient, 1_000, createTestLogger())
})

afterEach(() => {
  announcer[Symbol.dispose]()
  vi.useRealTimers()
})

test('what could not be told is told when the lock server is there again, once', async () => {
  isAway = true
  await announcer.announce(digests)
  await vi.advanceTimersByTimeAsync(60_000)
  expect(told).toEqual([])
  isAway = false
  await vi.advanceTimersByTimeAsync(60_000)
  expect(told).toEqual(digests.map(blobKey))
})

test('what is owed is not put off by what comes to be owed after it', async () => {
  for (const digest of digests) {
    announcer.owe(digest)
    await vi.advanceTimersByTimeAsync(2_000)
  }
  expect(told).toContain(blobKey(digests[0]!))
})

test('what is withdrawn is owed no more', async () => {
  for (const digest of digests) announcer.owe(digest)
  await announcer.withdraw(digests.slice(1))
  await vi.advanceTimersByTimeAsync(60_000)
  expect(told).toEqual([blobKey(digests[0]!)])
})
