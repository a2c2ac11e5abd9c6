/**
 * The lock service next to its peers, in one run on one machine. See bench/README.md for what each number means.
 *
 * Usage: pnpm --filter @layerlock/bench lock [--quick] [--scenario NAME] [--contender NAME] [--rounds N] [--json FILE]
 */
import { writeFile } from 'node:fs/promises'
import { cpus, loadavg } from 'node:os'
import { resolve } from 'node:path'
import { temporaryFolder } from '@layerlock/test-support'
import { aimsOf, isReached } from './aims.ts'
import { isInstalled } from './contender.ts'
import { measureSync } from './disk.ts'
import { Entrant } from './entrant.ts'
import { measureMemory } from './memory.ts'
import { parseOptions } from './options.ts'
import { aimsTable, tableOf } from './report.ts'
import { Results } from './results.ts'
import { runRounds } from './rounds.ts'
import { variantsOf } from './scenarios.ts'

/** A machine on which others run so much is too busy for numbers to be believed. */
const BUSY_LOAD = 1

const options = parseOptions(process.argv.slice(2))
const { extent, scenarios } = options
const profileFolder = options.profileFolder === undefined ? undefined : resolve(options.profileFolder)
// So that what ends with this process does end: by default a signal ends it without its 'exit' handlers.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))

const say = (text: string) => void process.stdout.write(`${text}\n`)
const onProgress = (text: string) => {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001B[K${text}`)
}

const startMs = performance.now()
await using folder = await temporaryFolder('lock-bench')
const results = new Results()
const contenders = options.contenders.filter(isInstalled)
for (const { label, needs } of options.contenders.filter((each) => !isInstalled(each))) {
  say(`SKIPPED ${label}: ${needs} is not installed`)
}
const loadBefore = loadavg()[0]!
const syncMs = await measureSync(folder.path)
say(
  `Node ${process.version}, ${cpus().length} CPUs (load before: ${loadBefore.toFixed(1)}), ` +
    `one page to disk in ${syncMs.toFixed(2)} ms; medians of ${extent.rounds} rounds`,
)

if (loadBefore > BUSY_LOAD) say('WARNING: other programs are running; even ratios are off when CPU time is short')

const report = { results, extent, names: contenders.map(({ name }) => name) }
{
  await using entrants = new AsyncDisposableStack()
  const started: Entrant[] = []
  if (scenarios.some((scenario) => scenario !== 'memory')) {
    for (const contender of contenders) {
      started.push(entrants.use(await Entrant.start(contender, { folder: folder.path, profileFolder })))
    }
  }
  for (const scenario of scenarios) {
    if (scenario === 'memory') continue
    const variants = variantsOf(scenario, extent)
    await runRounds(started, { scenario, variants, rounds: extent.rounds, results, onProgress })
    onProgress('')
    say(tableOf(scenario, report))
  }
}
if (scenarios.includes('memory')) {
  for (const contender of contenders) {
    if (!contender.name.startsWith('layerlock') && contender.name !== 'redlock') continue
    onProgress(`memory: ${contender.label}`)
    const measurement = results.of('memory', String(extent.records), contender.name)
    await measureMemory(contender, { folder: folder.path, records: extent.records, measurement })
  }
  onProgress('')
  say(tableOf('memory', report))
}
if (aimsOf(results).some((aim) => isReached(aim) !== undefined)) say(aimsTable(results))
say(`${((performance.now() - startMs) / 1_000).toFixed(0)} s in all, load at the end: ${loadavg()[0]!.toFixed(1)}`)

if (options.json !== undefined) {
  const machine = { loadBefore, node: process.version, cpus: cpus().length, cpu: cpus()[0]?.model, syncMs }
  const aims = aimsOf(results).map((aim) => ({ ...aim, reached: isReached(aim) }))
  await writeFile(options.json, `${JSON.stringify({ machine, extent, aims, results }, undefined, 2)}\n`)
}
