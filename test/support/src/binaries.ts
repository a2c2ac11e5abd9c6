import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Whether what a test needs is there. */
export interface Availability {
  readonly available: boolean
  /** What is not there, for the message of a skip. */
  readonly missing: readonly string[]
}

/** Folders of administrators' programs, which the `PATH` of a normal user lacks. */
const administratorFolders = ['/usr/local/sbin', '/usr/sbin', '/sbin']

/** The path of a program, or undefined when it is not installed. */
export function findBinary(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), ...administratorFolders]
  return folders
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find(isExecutable)
}

/**
 * Tells whether programs are installed. With `LAYERLOCK_REQUIRE_BINARIES=1` (CI) a missing one is a failure, so that no
 * test is skipped unseen.
 *
 * @example
 * describe.skipIf(!requireBinaries('containerd', 'ctr').available)('containerd', …);
 *
 * @throws Error in CI when one is missing
 */
export function requireBinaries(...names: string[]): Availability {
  return require(names.filter((name) => findBinary(name) === undefined))
}

/** Whether this process is root, which containerd and mounts need. */
export function isRoot(): boolean {
  return process.getuid?.() === 0
}

/**
 * Like {@link requireBinaries}, for being root.
 *
 * @throws Error in CI when not root
 */
export function requireRoot(): Availability {
  return require(isRoot() ? [] : ['root'])
}

function require(missing: readonly string[]): Availability {
  if (missing.length > 0 && process.env['LAYERLOCK_REQUIRE_BINARIES'] === '1') {
    throw new Error(`LAYERLOCK_REQUIRE_BINARIES=1, but missing: ${missing.join(', ')}`)
  }
  return { available: missing.length === 0, missing }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
