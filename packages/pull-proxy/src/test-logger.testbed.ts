import type { FastifyBaseLogger } from 'fastify'

interface TestLogLine {
  readonly level: string
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
}

/** A logger that keeps what it is told, its children's lines too. */
export type TestLogger = FastifyBaseLogger & { readonly lines: readonly TestLogLine[] }

export function createTestLogger(): TestLogger {
  const lines: TestLogLine[] = []
  const write = (level: string) => (fields: unknown, message?: string) => {
    if (typeof fields === 'string') lines.push({ level, message: fields, fields: {} })
    else lines.push({ level, message: message ?? '', fields: fields as Record<string, unknown> })
  }
  const levels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']
  const logger = {
    level: 'trace',
    lines,
    child: () => logger,
    ...Object.fromEntries(levels.map((level) => [level, write(level)])),
  } as unknown as TestLogger
  return logger
}
