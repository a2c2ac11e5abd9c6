import { accessSync, constants, existsSync, mkdirSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'

/**
 * Makes a folder with all that is missing above it, and sees that it can be written. Level by level, because Node's own
 * recursive `mkdir` never returns where a file system refuses without a reason (below `/proc`). The mode is that of the
 * folder itself, if it is made; one that is there stays as it is.
 *
 * @throws {Error} naming the setting and the folder
 */
export function ensureFolder(setting: string, path: string, mode = 0o777): string {
  const missing: string[] = []
  for (let folder = resolve(path); !existsSync(folder); folder = dirname(folder)) missing.unshift(folder)
  try {
    for (const folder of missing) mkdirSync(folder, { mode: folder === resolve(path) ? mode : 0o777 })
    if (!statSync(path).isDirectory()) throw new Error('ENOTDIR: it is no folder')
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK)
    return path
  } catch (error) {
    throw new Error(`${setting}: ${path} cannot be used: ${(error as Error).message}`, { cause: error })
  }
}
