import { httpGet } from '@layerlock/test-support'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { caseOf, type FaultBed, requestsOf, startFaultBed, targetOf } from './fault-bed.ts'
import { createFaultClient } from './fault-client.ts'
import { expectationOf, type FaultRow } from './fault-row.ts'
import { MANIFEST_ROWS } from './manifest-rows.ts'

/** Only upstream's word on the tag itself ends what was known of it. */
const WORDS: ReadonlySet<number> = new Set([401, 403, 404])
const isWord = ({ always }: FaultRow) => always?.kind === 'status' && WORDS.has(always.status)
const LASTING: readonly FaultRow[] = [
  ...MANIFEST_ROWS.filter((row) => row.at === 'tag' && (row.always !== undefined || row.pauseMs !== undefined)),
  { name: 'silent for ever', at: 'tag', always: { kind: 'hang' }, asked: ['whole', 'whole', 'whole'] },
  { name: 'reset for ever', at: 'tag', always: { kind: 'reset' }, asked: ['whole', 'whole', 'whole'] },
]

describe('a tag that was pulled before, and is no longer fresh', () => {
  const parts = new AsyncDisposableStack()
  let bed: FaultBed

  beforeAll(async () => {
    const proxyArgs = ['--tag-ttl', '1ms']
    bed = parts.use(await startFaultBed({ rows: LASTING, clients: ['http'], proxyArgs }))
  })
  afterAll(() => parts.disposeAsync())

  /** Plays a row after a pull without its fault; returns the case, and what the tag is answered with. */
  async function play(row: FaultRow) {
    await using client = await createFaultClient('http', '')
    const played = caseOf(bed, row, 'http')
    const target = targetOf(played, bed.nodes[0]!)
    played.mended = true
    expect(await client.pull(target)).toBe('served')
    const before = await requestsOf(played)
    played.mended = false
    const { proxy, upstream, repository, tag } = target
    const ask = (method: 'GET' | 'HEAD') =>
      httpGet(`http://${proxy}/v2/${upstream}/${repository}/manifests/${tag}`, { method })
    const answer = await ask('GET')
    const asked = (await requestsOf(played)).length - before.length
    return { played, answer, asked, ask }
  }

  test.concurrent.for(LASTING.filter((row) => !isWord(row)))(
    'is served as it was known while it is $name',
    async (row) => {
      const { played, answer, asked, ask } = await play(row)
      expect({ asked, status: answer.status, digest: answer.digest }).toEqual({
        // One that says nothing has 3 s in all when there is an answer without it: a try, and the beginning of another.
        asked: row.always?.kind === 'hang' ? 2 : row.asked.length,
        status: 200,
        digest: played.image.manifest.digest,
      })
      expect(answer.headers.warning).toMatch(/^299 - "/)
      const head = await ask('HEAD')
      expect(head).toMatchObject({ status: 200, headers: { 'docker-content-digest': answer.digest } })
      expect(head.headers.warning).toMatch(/^299 - "/)
    },
  )

  test.concurrent.for(LASTING.filter(isWord))('is refused when it is $name', async (row) => {
    const { answer, asked } = await play(row)
    const { outcome } = expectationOf(row, 'http')
    expect({ asked, status: answer.status }).toEqual({ asked: 1, status: (outcome as { status: number }).status })
    expect(answer.headers.warning).toBeUndefined()
  })
})
