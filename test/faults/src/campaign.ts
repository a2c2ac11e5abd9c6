import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { Lane, type RoundReport } from './lane.ts'
import { Summary } from './summary.ts'

export interface CampaignOptions {
  readonly rounds: number
  /** The first round's number. Default 1. */
  readonly firstRound?: number | undefined
  readonly seed: number
  /** An empty folder, for the servers' data and the histories. */
  readonly folder: string
  /** How many servers with clients of their own run side by side. Default 4. */
  readonly lanes?: number | undefined
  readonly onRound?: ((report: RoundReport, finished: number) => void) | undefined
}

/** A round that broke a rule, in full. */
export interface FailedRound extends RoundReport {
  /** Where its lane's histories are. */
  readonly folder: string
  readonly serverOutput: string
}

export interface CampaignReport {
  readonly summary: Summary
  /** Empty when every rule held. The campaign ends with the first rounds that fail. */
  readonly failed: readonly FailedRound[]
}

/** Runs rounds over several lanes until all are done or one fails. */
export async function runCampaign(options: CampaignOptions): Promise<CampaignReport> {
  const { rounds, seed, folder, lanes = 4, firstRound = 1, onRound } = options
  const summary = new Summary()
  const failed: FailedRound[] = []
  let started = 0
  let finished = 0

  const runLane = async (index: number): Promise<void> => {
    const laneFolder = join(folder, `lane${index}`)
    mkdirSync(laneFolder)
    await using lane = await Lane.start({ name: `lane${index}`, seed, folder: laneFolder })
    while (started < rounds && failed.length === 0) {
      const report = await lane.run(firstRound + started++)
      summary.add(report.history)
      onRound?.(report, ++finished)
      if (report.violations.length === 0) continue
      failed.push({ ...report, folder: laneFolder, serverOutput: lane.serverOutput })
    }
  }
  await Promise.all(Array.from({ length: Math.min(lanes, rounds) }, (_, index) => runLane(index)))
  return { summary, failed }
}
