import { type ClientMessage, type ClientProcessOptions, type StartRound } from './client-message.ts'
import { nowMicros } from './entry.ts'
import { HistoryWriter } from './history-file.ts'
import { Worker } from './worker.ts'

/** A process with a few clients, which work through rounds and write down what they see. Started by the conductor. */
const { name, url, historyPath, sessionTtlsMs } = JSON.parse(process.argv[2] ?? '{}') as ClientProcessOptions
const history = new HistoryWriter(historyPath)

const crash = (error: unknown) => {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
  history.write({ type: 'crash', at: nowMicros(), client: name, error: text })
}
process.on('unhandledRejection', crash)
process.on('uncaughtException', crash)
process.on('disconnect', () => process.exit())

const workers = sessionTtlsMs.map((sessionTtlMs, index) => {
  const client = { url, sessionTtlMs, unavailableTimeoutMs: 20_000 }
  return new Worker({ name: `${name}.${index}`, history, client })
})

process.on('message', (start: StartRound) => {
  void Promise.all(workers.map((worker) => worker.work(start))).then(
    () => tell({ type: 'done', round: start.round }),
    crash,
  )
})

await Promise.all(workers.map((worker) => worker.connect()))
tell({ type: 'ready' })

function tell(message: ClientMessage): void {
  process.send?.(message)
}
