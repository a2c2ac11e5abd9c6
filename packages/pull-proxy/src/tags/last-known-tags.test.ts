import { rm } from 'node:fs/promises'
import { temporaryFolder, type TemporaryFolder } from '@layerlock/test-support'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { SoloCoordinator } from '../coordination/solo-coordinator.ts'
import { parseDigest } from '../oci/digest.ts'
import { createTestLogger } from '../test-logger.testbed.ts'
import { LastKnownTags, type ResolvedTag } from './last-known-tags.ts'
import { TagLedger } from './tag-ledger.ts'

const name = 'docker.io/library/app:latest'
const hourMs = 3_600_000
let folder: TemporaryFolder

beforeEach(async () => {
  folder = await temporaryFolder('last-known')
})

afterEach(async () => {
  await folder[Symbol.asyncDispose]()
})

/** A node after a restart: it has what is on disk. */
async function startNode(logger = createTestLogger()): Promise<LastKnownTags> {
  const ledger = await TagLedger.open(`${folder.path}/tags`, 24 * hourMs)
  return new LastKnownTags({ coordinator: new SoloCoordinator(), ledger, logger })
}

function resolved(letter: string, agoMs: number, more: Partial<ResolvedTag> = {}): ResolvedTag {
  const digest = parseDigest(`sha256:${letter.repeat(64)}`)
  return { digest, size: 5, mediaType: 'application/x', resolvedAtMs: Date.now() - agoMs, isOwn: true, ...more }
}

test('an older word does not replace a newer one, after a restart neither', async () => {
  const node = await startNode()
  await node.keep(name, resolved('a', 1_000), hourMs)
  await node.keep(name, resolved('b', 2_000), hourMs)
  expect(await node.own(name)).toMatchObject({ digest: resolved('a', 0).digest })
  const restarted = await startNode()
  await restarted.keep(name, resolved('b', 2_000, { isOwn: false }), hourMs)
  expect(await restarted.own(name)).toMatchObject({ digest: resolved('a', 0).digest })
})

test('the file of a tag is read once, however often the tag is answered', async () => {
  await (await startNode()).keep(name, resolved('a', 1_000), hourMs)
  const lookUp = vi.spyOn(TagLedger.prototype, 'lookUp')
  const restarted = await startNode()
  for (let time = 0; time < 5; time++) await restarted.keep(name, resolved('a', 1_000, { isOwn: false }), hourMs)
  expect(lookUp).toHaveBeenCalledTimes(1)
  lookUp.mockRestore()
})

test('what the cluster has pinned replaces what this node found out alone, however old the pin is', async () => {
  const node = await startNode()
  await node.keep(name, resolved('b', 1_000), hourMs)
  await node.keep(name, resolved('a', hourMs, { isOwn: false, isPinned: true }), hourMs)
  expect(await node.own(name)).toMatchObject({ digest: resolved('a', 0).digest })
})

test('a disk that cannot be written is told of once, not with each answer', async () => {
  const logger = createTestLogger()
  const node = await startNode(logger)
  await rm(`${folder.path}/tags`, { recursive: true })
  for (let time = 0; time < 5; time++) await node.keep(name, resolved('a', 1_000, { isOwn: false }), hourMs)
  expect(logger.lines.filter(({ message }) => message.includes('could not be kept'))).toHaveLength(1)
})
