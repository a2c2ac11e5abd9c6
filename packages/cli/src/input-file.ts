import { readFileSync } from 'node:fs'
import { UsageError } from './usage-error.ts'

/** Reads a file that a setting names. @throws {UsageError} */
export function readInput(setting: string, path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new UsageError(setting, path, `a file that can be read (${(error as Error).message})`)
  }
}

/** What a file holds, as far as it can be parsed. @throws {UsageError} with the parser's words, which must show no secret */
export function parseInput<T>(setting: string, path: string, allowed: string, parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    throw new UsageError(setting, path, `${allowed} (${(error as Error).message})`)
  }
}
