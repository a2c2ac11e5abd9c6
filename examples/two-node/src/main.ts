import { playDemo } from './demo.ts'
import { type DemoOptions, HELP, parseOptions, UsageError } from './options.ts'

/** Exit statuses of a shell for signals are 128 and the signal's number. */
const signalStatuses = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const

try {
  const options = parseOptions(process.argv.slice(2))
  if (options.help) process.stdout.write(HELP)
  else process.exitCode = await run(options)
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  process.stderr.write(`demo: ${error.message}\n(--help shows what there is)\n`)
  process.exitCode = 2
}

/** Runs the demo until its end or a signal; either way everything it started is stopped. Returns the exit status. */
async function run(options: DemoOptions): Promise<number> {
  const stop = new AbortController()
  let status = 1
  for (const [signal, signalStatus] of Object.entries(signalStatuses)) {
    process.on(signal, () => {
      // Whoever asks twice does not want to wait.
      if (stop.signal.aborted) process.exit(signalStatus)
      status = signalStatus
      stop.abort()
    })
  }
  // Nobody reads any more, e.g. `npm run demo | head`.
  process.stdout.on('error', () => stop.abort())
  try {
    const wrong = await playDemo(options, stop.signal)
    for (const { text } of wrong) process.stderr.write(`demo: not as it should be: ${text}\n`)
    return wrong.length === 0 ? 0 : 1
  } catch (error) {
    if (error instanceof UsageError) throw error
    if (stop.signal.aborted) process.stderr.write('demo: stopped\n')
    else process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}\n`)
    return status
  }
}
