import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { play } from './play.ts'
import { type Scenario, scenarios } from './scenario.ts'

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

/** Tickets are named at random. */
function withoutTicket(entry: object): object {
  return { ...entry, ticket: '' }
}
