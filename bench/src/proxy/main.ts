/**
 * The pull proxy next to its peers, in one run on one machine. See bench/README.md for what each number means.
 *
 * Usage: pnpm --filter @layerlock/bench proxy [--quick] [--scenario NAME] [--contender NAME] [--rounds N] [--json FILE]
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { cpus, loadavg } from 'node:os'
import { resolve } from 'node:path'
import { temporaryFolder } from '@layerlock/test-support'
import { aimsOf, isReached } from './aims.ts'
import { isInstalled, type ScenarioName } from './contender.ts'
import { parseOptions } from './options.ts'
import { aimsTable, tableOf } from './report.ts'
import { Results } from './results.ts'
import { measureCold } from './scenarios/cold.ts'
import { measureFirstByte } from './scenarios/first-byte.ts'
import { measureWarm } from './scenarios/warm.ts'
import { createSetting } from './setting.ts'

/** A machine on which others run so much is too busy for numbers to be believed. */
const BUSY_LOAD = 1

const given = parseOptions(process.argv.slice(2))
const { scenarios, extent } = given
const profileFolder = given.profileFolder === undefined ? undefined : resolve(given.profileFolder)
if (profileFolder !== undefined) await mkdir(profileFolder, { recursive: true })
const options = { ...given, profileFolder }
// So that what ends with this process does end: by default a signal ends it without its 'exit' handlers.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))

const say = (text: string) => void process.stdout.write(`${text}\n`)
const onProgress = (text: string) => {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001B[K${text}`)
}

const startMs = performance.now()
const contenders = options.contenders.filter(isInstalled)
for (const { label, needs } of options.contenders.filter((each) => !isInstalled(each))) {
  say(`SKIPPED ${label}: ${needs} is not installed`)
}
const loadBefore = loadavg()[0]!
say(
  `Node ${process.version}, ${cpus().length} CPUs (load before: ${loadBefore.toFixed(1)}); ` +
    `medians of ${extent.rounds} rounds of ${extent.windowMs} ms`,
)
if (loadBefore > BUSY_LOAD) say('WARNING: other programs are running; even ratios are off when CPU time is short')

await using folder = await temporaryFolder('proxy-bench')
const results = new Results()
await using setting = await createSetting({ options, contenders, folder: folder.path, results, onProgress })
const report = { results, extent, contenders }
const warm = scenarios.filter((scenario) => scenario === 'warm' || scenario === 'manifests')
const show = (measured: readonly ScenarioName[]) => {
  onProgress('')
  for (const scenario of measured) say(tableOf(scenario, report))
}
if (warm.length > 0) {
  await measureWarm(setting, warm)
  show(warm)
}
if (scenarios.includes('first-byte')) {
  await measureFirstByte(setting)
  show(['first-byte'])
}
if (scenarios.includes('cold')) {
  await measureCold(setting)
  show(['cold'])
}
if (aimsOf(results, extent).some((aim) => isReached(aim) !== undefined)) say(aimsTable(results, extent))
say(`${((performance.now() - startMs) / 1_000).toFixed(0)} s in all, load at the end: ${loadavg()[0]!.toFixed(1)}`)

if (options.json !== undefined) {
  const machine = { loadBefore, node: process.version, cpus: cpus().length, cpu: cpus()[0]?.model }
  const aims = aimsOf(results, extent).map((aim) => ({ ...aim, reached: isReached(aim) }))
  await writeFile(options.json, `${JSON.stringify({ machine, extent, aims, results }, undefined, 2)}\n`)
}
