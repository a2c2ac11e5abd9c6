import { readFileSync } from 'node:fs'
import type { Command, Option } from 'commander'
import { parse, TomlError } from 'smol-toml'
import { isRepeatable } from './repeatable.ts'
import { HIDDEN, UsageError } from './usage-error.ts'

/** A command's settings as text, by the names that the flags have in camel case. */
export type Settings = Readonly<Record<string, string | readonly string[] | SettingsTable | undefined>>

/** A list that the file has as a table; what is in it is looked at by those who know it. */
interface SettingsTable {
  /** Where it stands, such as `layerlock.toml: proxy.upstream`. */
  readonly setting: string
  readonly table: Readonly<Record<string, unknown>>
}

/**
 * Puts together what a command was told: flags over the environment over the file of `--config`, whose table of the
 * command's name has the flags' names in camel case (`[proxy] peerListen = "…"`).
 *
 * @throws {UsageError} for a file that cannot be read, and for names and types that are not known
 */
export function settingsOf(command: Command): Settings {
  const given = withSwitches(command)
  const path = given['config']
  if (typeof path !== 'string') return given
  const commands = command.parent?.commands.map((each) => each.name()) ?? [command.name()]
  const table = readTable(path, command.name(), commands)
  const known = new Map(command.options.map((option) => [option.attributeName(), option]))
  const merged: Record<string, Settings[string]> = { ...given }
  for (const [name, value] of Object.entries(table)) {
    const option = known.get(name)
    const setting = `${path}: ${command.name()}.${name}`
    if (option === undefined || name === 'config') {
      const names = [...known.keys()].filter((key) => key !== 'config').join(', ')
      // It may be a password that stands in the wrong place.
      throw new UsageError(setting, HIDDEN, `one of ${names}`)
    }
    const source = command.getOptionValueSource(name)
    const read = readValue(setting, value, option)
    if (source === undefined || source === 'default') merged[name] = read
  }
  return merged
}

/**
 * What flags and environment say. Commander takes whatever stands in the variable of a flag without a value for a yes, so
 * that is read here.
 */
function withSwitches(command: Command): Settings {
  const given: Record<string, Settings[string]> = { ...command.opts<Settings>() }
  for (const option of command.options.filter(isSwitch)) {
    const name = option.attributeName()
    const source = command.getOptionValueSource(name)
    if (source === undefined) continue
    const text = source === 'env' ? (process.env[option.envVar ?? ''] ?? '') : 'true'
    const value = SWITCH_TEXTS.get(text)
    if (value === undefined) throw new UsageError(name, text, 'true or false')
    given[name] = value
  }
  return given
}

/** What may stand in the variable of a switch; one that is empty is off. */
const SWITCH_TEXTS: ReadonlyMap<string, 'true' | 'false'> = new Map([
  ['true', 'true'],
  ['1', 'true'],
  ['false', 'false'],
  ['0', 'false'],
  ['', 'false'],
])

/** Whether a flag takes no value: it is there or not. */
function isSwitch(option: Option): boolean {
  return option.isBoolean()
}

/** @param commands the names of all tables that there may be */
function readTable(path: string, name: string, commands: readonly string[]): Record<string, unknown> {
  let document: Record<string, unknown>
  try {
    document = parse(readFileSync(path, 'utf8'))
  } catch (error) {
    // What follows shows what stands there, which may be a password.
    const [reason] = (error as Error).message.split('\n')
    const where = error instanceof TomlError ? `line ${error.line}, column ${error.column}: ` : ''
    throw new UsageError('config', path, `a TOML file that can be read (${where}${reason})`)
  }
  const unknown = Object.keys(document).find((key) => !commands.includes(key))
  if (unknown !== undefined) {
    throw new UsageError(`${path}: ${unknown}`, HIDDEN, `one of ${commands.join(', ')}`)
  }
  const table = document[name] ?? {}
  if (isTable(table)) return table
  throw new UsageError(`${path}: ${name}`, HIDDEN, 'a table')
}

/** A list can also be written as a table: `[proxy.upstream] "docker.io" = "https://…"`. */
function readValue(setting: string, value: unknown, option: Option): Settings[string] {
  if (isSwitch(option)) {
    if (typeof value === 'boolean') return String(value)
    throw new UsageError(setting, value, 'true or false')
  }
  if (!isRepeatable(option)) {
    if (typeof value === 'string') return value
    // What is a number anyway need not be quoted.
    if (Number.isSafeInteger(value) && /<(?:count|size)>/.test(option.flags)) return String(value)
    throw new UsageError(setting, value, 'a string')
  }
  if (isTable(value)) return { setting, table: value }
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value
  // A URL may have a password in it.
  throw new UsageError(setting, HIDDEN, 'a list of strings, or a table')
}

/** Whether a value of the file is a table. */
export function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)
}

/** A setting that must be there. @throws {UsageError} */
export function required(settings: Settings, name: string, allowed: string): string {
  const value = settings[name]
  if (typeof value === 'string' && value !== '') return value
  throw new UsageError(name, value, allowed)
}

/** A setting that may be there. */
export function optional(settings: Settings, name: string): string | undefined {
  const value = settings[name]
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** A setting that is on or off; off unless it was given. */
export function enabled(settings: Settings, name: string): boolean {
  return settings[name] === 'true'
}
