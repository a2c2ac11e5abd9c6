import { pino } from 'pino'
import { PinoPretty } from 'pino-pretty'
import { UsageError } from './usage-error.ts'

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const

/** One JSON object a line on stderr; readable lines when that is a terminal. @throws {UsageError} for an unknown level */
export function createLogger(level: string) {
  if (!LEVELS.some((known) => known === level)) throw new UsageError('logLevel', level, `one of ${LEVELS.join(', ')}`)
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime }
  // Synchronous, so that the last words before a crash are not lost.
  const destination = process.stderr.isTTY
    ? PinoPretty({ destination: 2, sync: true, ignore: 'pid,hostname', translateTime: 'HH:MM:ss.l' })
    : pino.destination({ fd: 2, sync: true })
  return pino(options, destination)
}

export type CliLogger = ReturnType<typeof createLogger>
