import { setTimeout as sleep } from 'node:timers/promises'
import { requireBinaries, requireRoot, waitFor } from '@layerlock/test-support'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { BLOB_ROWS } from './blob-rows.ts'
import {
  bytesOf,
  caseOf,
  type FaultBed,
  requestsOf,
  startFaultBed,
  storedAs,
  targetOf,
  verifyStore,
} from './fault-bed.ts'
import { createFaultClient, type FaultClient } from './fault-client.ts'
import { type ClientName, expectationOf, isPlayed } from './fault-row.ts'
import { MANIFEST_ROWS } from './manifest-rows.ts'

const ROWS = [...BLOB_ROWS, ...MANIFEST_ROWS]
const isRoot = requireRoot().available
const CLIENTS: Readonly<Record<ClientName, boolean>> = {
  http: true,
  containerd: isRoot && requireBinaries('containerd', 'ctr').available,
  docker: isRoot && requireBinaries('dockerd', 'docker', 'containerd', 'ctr').available,
  skopeo: requireBinaries('skopeo').available,
  podman: isRoot && requireBinaries('podman').available,
}
const NAMES = Object.keys(CLIENTS) as ClientName[]

// They wait more than they compute.
vi.setConfig({ maxConcurrency: 10 })

describe('with a fault upstream', () => {
  const parts = new AsyncDisposableStack()
  const clients = new Map<ClientName, FaultClient>()
  let bed: FaultBed

  beforeAll(async () => {
    const available = NAMES.filter((name) => CLIENTS[name])
    bed = parts.use(await startFaultBed({ rows: ROWS, clients: available }))
    for (const name of available) clients.set(name, parts.use(await createFaultClient(name, bed.nodes[0]!.proxy.url)))
  })
  afterAll(() => parts.disposeAsync())

  describe.concurrent.for(NAMES)('%s', (name) => {
    test.skipIf(!CLIENTS[name]).for(ROWS.filter((row) => isPlayed(row, name)))('the $at $name', async (row) => {
      const { outcome, asked, copies } = expectationOf(row, name)
      const played = caseOf(bed, row, name)
      const node = bed.nodes[0]!

      const seen = await clients.get(name)!.pull(targetOf(played, node))
      played.mended = true
      const requests = await requestsOf(played)
      // Together, so that a row that fails says everything.
      expect({ seen, asked: requests.map(({ range }) => (range === undefined ? 'whole' : 'rest')) }).toEqual({
        seen: matching(outcome),
        asked,
      })
      expect(bytesOf(requests)).toBeLessThanOrEqual(copies * played.content.size)
      const { digest } = played.content
      if (outcome === 'served') await waitFor(() => storedAs(digest, node), { what: `${digest} to be in the store` })
      const stored = await storedAs(digest, node)
      expect([undefined, digest]).toContain(stored)

      // What was served had the client, or the proxy, sit out the pause.
      if (outcome !== 'served') await sleep(row.pauseMs)
      const next = clients.get(outcome === 'served' ? 'http' : name)!
      // containerd offers wrong bytes to itself again, until its garbage collector has taken them.
      const isStuck = name === 'containerd' && row.outcome === 'cut' && outcome !== 'served'
      await waitFor(async () => (await next.pull(targetOf(played, node))) === 'served', {
        what: 'the next pull to be served',
        timeoutMs: isStuck ? 30_000 : 0,
      })
      expect((await requestsOf(played)).length - requests.length).toBe(stored === undefined ? 1 : 0)
    })
  })

  test('nothing was left half-written, and no credentials reached the storage host', async () => {
    for (const node of bed.nodes) {
      await waitFor(async () => (await node.proxy.status()).inflight.length === 0, { what: 'the last flight to end' })
      await verifyStore(node)
    }
    const atStorage = bed.registries.flatMap(({ requests }) => requests.matching({ kind: 'storage' }))
    expect(atStorage.length).toBeGreaterThan(0)
    expect(atStorage.filter(({ authorization }) => authorization)).toEqual([])
  })
})

function matching(outcome: ReturnType<typeof expectationOf>['outcome']): unknown {
  if (typeof outcome === 'string' || !('failure' in outcome)) return outcome
  return { failure: expect.stringMatching(outcome.failure) }
}
