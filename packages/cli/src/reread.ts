import type { CliLogger } from './logger.ts'

/** Files that can be replaced while a service runs. */
export interface Rereadable {
  /** What is in them. */
  readonly what: string
  /** What is to be said of what was read before. */
  readonly otherwise: 'the one before stays' | 'those before stay'
  /** Reads them and takes what they hold; gives back what is to be logged of it. @throws when they are no good */
  readonly reread: () => object
}

/** Reads files again and says in the log what came of it. Files that are no good change nothing. */
export function rereadAll(files: readonly Rereadable[], logger: CliLogger): void {
  for (const { what, otherwise, reread } of files) {
    const verb = otherwise === 'the one before stays' ? 'was' : 'were'
    try {
      logger.info(reread(), `the ${what} ${verb} read again`)
    } catch (error) {
      logger.error({ err: error }, `the ${what} could not be read again, ${otherwise}`)
    }
  }
}
