import { startLockServer, waitFor } from '@layerlock/test-support'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { BLOB_ROWS } from './blob-rows.ts'
import {
  bytesOf,
  caseOf,
  type FaultBed,
  type FaultCase,
  requestsOf,
  startFaultBed,
  storedAs,
  targetOf,
} from './fault-bed.ts'
import { createFaultClient } from './fault-client.ts'
import { expectationOf, type FaultRow } from './fault-row.ts'
import { MANIFEST_ROWS } from './manifest-rows.ts'

const ROWS = [...BLOB_ROWS, ...MANIFEST_ROWS]
const isCut = (row: FaultRow) => row.outcome === 'cut'
/** How long after a failure the cluster takes it as known, with room for a pause that upstream wants, and a slow machine. */
const FORGOTTEN_MS = 30_000

// They wait more than they compute.
vi.setConfig({ maxConcurrency: 20 })

describe('with a fault upstream, two nodes that are asked at once', () => {
  const parts = new AsyncDisposableStack()
  let bed: FaultBed

  beforeAll(async () => {
    const lockServer = parts.use(await startLockServer())
    bed = parts.use(
      await startFaultBed({ rows: ROWS, clients: ['http'], nodes: ['a', 'b'], lockServer: lockServer.url }),
    )
    // Long enough that the second node asks while the first one waits for upstream.
    for (const registry of bed.registries) registry.latencyMs = 50
  })
  afterAll(() => parts.disposeAsync())

  async function pullFromAll(played: FaultCase) {
    await using client = await createFaultClient('http', '')
    return Promise.all(bed.nodes.map((node) => client.pull(targetOf(played, node))))
  }

  async function expectMended(played: FaultCase): Promise<void> {
    played.mended = true
    const { digest } = played.content
    await waitFor(async () => (await pullFromAll(played)).every((seen) => seen === 'served'), {
      what: `${digest} to be served by both nodes`,
      timeoutMs: FORGOTTEN_MS,
    })
    for (const node of bed.nodes) {
      await waitFor(() => storedAs(digest, node), { what: `${digest} to be in the store` })
      expect(await storedAs(digest, node)).toBe(digest)
    }
  }

  test.concurrent.for(ROWS.filter((row) => !isCut(row)))('the $at $name', async (row) => {
    const { outcome, asked, copies } = expectationOf(row, 'http')
    const played = caseOf(bed, row, 'http')
    const seen = await pullFromAll(played)
    const requests = await requestsOf(played)
    expect({ seen, asked: requests.map(({ range }) => (range === undefined ? 'whole' : 'rest')) }).toEqual({
      seen: [outcome, outcome],
      // What fails without being a refusal is tried by the next node too, which may have better luck.
      asked: mayBetterLuckHelp(outcome) ? [...asked, ...asked] : asked,
    })
    expect(bytesOf(requests)).toBeLessThanOrEqual(copies * played.content.size)
    await expectMended(played)
  })

  test.concurrent.for(ROWS.filter(isCut))('the $at $name: nobody gets a whole that is wrong', async (row) => {
    const played = caseOf(bed, row, 'http')
    const seen = await pullFromAll(played)
    for (const each of seen) expect(['cut', 'served']).toContain(each)
    // The node that takes over finds out whether it was the other one's fault.
    expect((await requestsOf(played)).length).toBeLessThanOrEqual(2 * expectationOf(row, 'http').asked.length + 1)
    await expectMended(played)
  })
})

function mayBetterLuckHelp(outcome: unknown): boolean {
  return typeof outcome === 'object' && outcome !== null && 'status' in outcome && outcome.status === 502
}
