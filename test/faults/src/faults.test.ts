import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runCampaign } from './campaign.ts'
import { describeFailure } from './describe-failure.ts'

/** 40 rounds are for everybody's machine; CI runs 200. */
const ROUNDS = Number(process.env['LAYERLOCK_FAULT_ROUNDS'] ?? 40)
const SEED = Number(process.env['LAYERLOCK_FAULT_SEED'] ?? Date.now() % 1_000_000)

test(`no rule breaks in ${ROUNDS} rounds of faults with seed ${SEED}`, async () => {
  // Not a temporary folder that goes away by itself: after a failure the histories are what one needs.
  const folder = await mkdtemp(join(tmpdir(), 'layerlock-faults-'))
  const { summary, failed } = await runCampaign({ rounds: ROUNDS, seed: SEED, folder })
  process.stdout.write(`seed ${SEED}: ${summary.toString()}\n`)
  expect(failed.map((round) => describeFailure(round, SEED)).join('\n\n')).toBe('')
  expect(summary.rounds).toBe(ROUNDS)
  expect(summary.handOvers).toBeGreaterThan(0)
  await rm(folder, { recursive: true, force: true })
})
