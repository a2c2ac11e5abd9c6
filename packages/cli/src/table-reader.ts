import { readInput } from './input-file.ts'
import { keyIn } from './key-in.ts'
import { isTable } from './settings.ts'
import { readCertificates } from './tls-files.ts'
import { HIDDEN, UsageError } from './usage-error.ts'
import { isHost, parseCount, parseDuration, parseHttpUrl, parsePositiveDuration } from './values.ts'

/** Reads the value of a key of a table of the file. @throws {UsageError} */
export type Reader<T> = (setting: string, value: unknown) => T

/** What a table holds whose keys are read like this. */
export type TableOf<Readers extends Readonly<Record<string, Reader<unknown>>>> = {
  readonly [Key in keyof Readers]?: ReturnType<Readers[Key]> | undefined
}

/** Reads a table with these keys, all of which may be left out. @throws {UsageError} for a key that is not known too */
export function readTable<Readers extends Readonly<Record<string, Reader<unknown>>>>(
  setting: string,
  value: unknown,
  readers: Readers,
): TableOf<Readers> {
  if (!isTable(value)) throw new UsageError(setting, HIDDEN, 'a table')
  const entries = Object.entries(value).map(([key, item]) => {
    const at = keyIn(setting, key)
    const reader = Object.hasOwn(readers, key) ? readers[key] : undefined
    // It may be a password whose key is misspelt.
    if (reader === undefined) throw new UsageError(at, HIDDEN, `one of ${Object.keys(readers).join(', ')}`)
    return [key, reader(at, item)]
  })
  return Object.fromEntries(entries) as TableOf<Readers>
}

/** A string that is not empty. */
export const text: Reader<string> = (setting, value) => {
  if (typeof value === 'string' && value !== '') return value
  throw new UsageError(setting, value, 'a string that is not empty')
}

/** A string that no message shows. */
export const secret: Reader<string> = (setting, value) => {
  if (typeof value === 'string' && value !== '') return value
  throw new UsageError(setting, HIDDEN, 'a string that is not empty')
}

export const yesOrNo: Reader<boolean> = (setting, value) => {
  if (typeof value === 'boolean') return value
  throw new UsageError(setting, value, 'true or false')
}

export function oneOf<const Choice extends string>(...choices: readonly Choice[]): Reader<Choice> {
  return (setting, value) => {
    const found = choices.find((choice) => choice === value)
    if (found !== undefined) return found
    throw new UsageError(setting, value, choices.join(' or '))
  }
}

/** A number, or one in quotes. */
export const count: Reader<number> = (setting, value) => {
  const written = typeof value === 'number' ? String(value) : value
  if (typeof written === 'string') return parseCount(setting, written)
  throw new UsageError(setting, value, 'a whole number, at least 1')
}

export const duration: Reader<number> = (setting, value) => parseDuration(setting, text(setting, value))
export const positiveDuration: Reader<number> = (setting, value) => parsePositiveDuration(setting, text(setting, value))
export const httpUrl: Reader<URL> = (setting, value) => {
  if (typeof value === 'string') return parseHttpUrl(setting, value)
  throw new UsageError(setting, value, 'an http or https URL without user, query and fragment')
}

/** The path of a file that has something in it. */
export const file: Reader<string> = (setting, value) => {
  const path = text(setting, value)
  if (readInput(setting, path).trim() !== '') return path
  throw new UsageError(setting, path, 'a file that is not empty')
}

/** The path of a JSON file with an object in it. What the parser says of one that is none could show what is in it. */
export const jsonFile: Reader<string> = (setting, value) => {
  const path = text(setting, value)
  const content = readInput(setting, path)
  try {
    if (isTable(JSON.parse(content))) return path
  } catch {
    // Refused below.
  }
  throw new UsageError(setting, path, 'a JSON file with an object')
}

/** The certificates of a file. */
export const certificates: Reader<string> = (setting, value) => readCertificates(setting, text(setting, value))

export const hosts: Reader<readonly string[]> = (setting, value) => {
  if (Array.isArray(value) && value.every((item) => typeof item === 'string' && isHost(item))) return value as string[]
  throw new UsageError(
    setting,
    Array.isArray(value) ? value.join(', ') : value,
    'a list of hosts, such as ["auth.example"]',
  )
}

/** The rest of a program's name. */
export const programSuffix: Reader<string> = (setting, value) => {
  if (typeof value === 'string' && /^[\w.-]+$/.test(value)) return value
  throw new UsageError(setting, value, 'what stands after docker-credential- in the name of a program')
}
