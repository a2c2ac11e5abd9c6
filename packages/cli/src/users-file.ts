import { parseUsers } from '@layerlock/proxy'
import { parseInput, readInput } from './input-file.ts'
import { optional, type Settings } from './settings.ts'

/** Reads the lines of the file of `--users-file`. @throws {UsageError} which names the line, and shows no hash */
export function readUsers(settings: Settings): readonly string[] | undefined {
  const path = optional(settings, 'usersFile')
  if (path === undefined) return undefined
  const lines = readInput('usersFile', path).split('\n')
  parseInput('usersFile', path, 'an htpasswd file with bcrypt hashes', () => parseUsers(lines))
  return lines
}
