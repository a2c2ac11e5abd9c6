import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { runCampaign } from './campaign.ts'
import { describeFailure } from './describe-failure.ts'

const USAGE = `pnpm faults [--rounds N] [--seed S] [--first ROUND] [--lanes N]

Kills, stops and restarts a lock server and its clients, and checks what the clients saw.

  --rounds N   how many rounds, 200 unless told
  --seed S     decides the schedule; by default another one each time
  --first N    the number of the first round, to repeat one; 1 unless told
  --lanes N    how many servers run side by side, 4 unless told
`

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '200' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    first: { type: 'string', default: '1' },
    lanes: { type: 'string', default: '4' },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) process.stdout.write(USAGE)
else await run()

async function run(): Promise<void> {
  const [rounds, seed, firstRound, lanes] = [values.rounds, values.seed, values.first, values.lanes].map(wholeNumber)
  const folder = await mkdtemp(join(tmpdir(), 'layerlock-faults-'))
  const startMs = performance.now()
  const seconds = () => ((performance.now() - startMs) / 1_000).toFixed(1)
  say(`seed ${seed}`)
  const { summary, failed } = await runCampaign({
    rounds: rounds!,
    seed: seed!,
    firstRound,
    lanes,
    folder,
    onRound: ({ plan }, finished) => {
      if (finished % 10 === 0) say(`${finished} of ${rounds} rounds, ${seconds()} s, last ${plan.round}`)
    },
  })
  say(`${summary.toString()}\n${seconds()} s, seed ${seed}`)
  for (const round of failed) say(describeFailure(round, seed!))
  if (failed.length > 0) process.exitCode = 1
  else await rm(folder, { recursive: true, force: true })
}

function wholeNumber(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text)
  process.stderr.write(`expected a whole number, got ${JSON.stringify(text)}\n\n${USAGE}`)
  process.exit(2)
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}
