import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { waitFor } from '@layerlock/test-support'
import { play } from './play.ts'
import { type Scenario, scenarios } from './scenario.ts'
import { ServerInProcess } from './server-in-process.ts'

const RUNS = Number(process.env['LAYERLOCK_INTERLEAVING_RUNS'] ?? 300)
/** Then it ends with what it has, so that making a failure smaller does not take for ever. */
const TIME_LIMIT_MS = 240_000
const SEED = Number(process.env['LAYERLOCK_INTERLEAVING_SEED'] ?? Date.now() % 1_000_000)

test(`no rule breaks in ${RUNS} scenarios on a bad network with seed ${SEED}`, async () => {
  let calls = 0
  await fc.assert(
    fc.asyncProperty(scenarios, async (scenario) => {
      const { violations, entries, requests } = await play(scenario)
      calls += entries.filter(({ type }) => type === 'call').length
      if (violations.length === 0) return
      const found = violations.map(({ rule, message }) => `BROKEN ${rule}: ${message}`)
      throw new Error([...found, ...entries.map((entry) => JSON.stringify(entry)), ...requests].join('\n'))
    }),
    {
      numRuns: RUNS,
      seed: SEED,
      endOnFailure: process.env['LAYERLOCK_INTERLEAVING_SHRINK'] === '0',
      interruptAfterTimeLimit: TIME_LIMIT_MS,
    },
  )
  expect(calls).toBeGreaterThan(RUNS)
})

test('a scenario that is played again sees the same', async () => {
  const [scenario] = fc.sample(scenarios, { seed: 7, numRuns: 1 }) as [Scenario]
  const [first, second] = [await play(scenario), await play(scenario)]
  expect(first.entries.map(withoutTicket)).toEqual(second.entries.map(withoutTicket))
  expect(first.requests).toHaveLength(second.requests.length)
})

test.fails('a late copy of a request whose ticket was told done takes nothing', async () => {
  await using server = await ServerInProcess.start()
  const call = async (path: string, session: string, value: object) => {
    const headers = { 'content-type': 'application/json', ...(session === '' ? {} : { 'layerlock-session': session }) }
    const { text } = await server.handle({ method: 'POST', path, headers, body: JSON.stringify(value) })
    return JSON.parse(text) as Record<string, unknown>
  }
  const session = String((await call('/v1/sessions', '', { node: 'n' }))['id'])
  const { fencingToken } = await call('/v1/locks/k/acquire', session, { ticket: 'worker' })
  await call('/v1/locks/k/complete', session, { fencingToken, retainMs: 300 })
  const told = await call('/v1/locks/k/acquire', session, { ticket: 'reader' })
  await waitFor(async () => (await call('/v1/locks/k/acquire', session, { ticket: 'next' }))['status'] === 'granted', {
    what: 'the outcome to end',
  })
  await call('/v1/locks/k/cancel', session, { ticket: 'next' })
  expect(told['status'], 'the reader was told').toBe('done')
  expect((await call('/v1/locks/k/acquire', session, { ticket: 'reader' }))['status']).not.toBe('granted')
})

/** Tickets are named at random. */
function withoutTicket(entry: object): object {
  return { ...entry, ticket: '' }
}
