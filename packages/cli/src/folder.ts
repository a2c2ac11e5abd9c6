import { accessSync, constants, existsSync, mkdirSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'

/** What is in the folders must not be read past the doors: private images, the ids of live sessions. */
const PRIVATE = 0o700

/**
 * Makes a folder, for this user alone, with all that is missing above it, and sees that it can be written. Level by level,
 * because Node's own recursive `mkdir` never returns where a file system refuses without a reason (below `/proc`). A folder
 * that is there keeps its mode.
 *
 * @throws {Error} naming the setting and the folder
 */
export function ensureFolder(setting: string, path: string): string {
  const missing: string[] = []
  for (let folder = resolve(path); !existsSync(folder); folder = dirname(folder)) missing.unshift(folder)
  try {
    for (const folder of missing) mkdirSync(folder, { mode: folder === resolve(path) ? PRIVATE : 0o777 })
    if (!statSync(path).isDirectory()) throw new Error('ENOTDIR: it is no folder')
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK)
    return path
  } catch (error) {
    throw new Error(`${setting}: ${path} cannot be used: ${(error as Error).message}`, { cause: error })
  }
}
