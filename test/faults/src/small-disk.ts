import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { findBinary, isRoot, runCommand } from '@layerlock/test-support'

/** A file system in memory with little room, mounted on a folder. Dispose: it is unmounted. */
export interface SmallDisk extends AsyncDisposable {
  readonly path: string
  /** Takes room away: writes a file of this size, in bytes. */
  takeRoom(bytes: number): Promise<void>
  /** Gives back what was taken. */
  giveRoom(): Promise<void>
}

/**
 * Mounts one. Undefined where this process may not, as on most people's machines.
 *
 * @throws Error in CI (`LAYERLOCK_REQUIRE_BINARIES=1`) instead
 */
export async function mountSmallDisk(folder: string, bytes: number): Promise<SmallDisk | undefined> {
  const path = join(folder, 'disk')
  await mkdir(path)
  try {
    if (!isRoot() || findBinary('mount') === undefined) throw new Error('mounting needs root and mount(8)')
    await runCommand('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', path])
  } catch (error) {
    if (process.env['LAYERLOCK_REQUIRE_BINARIES'] === '1') throw error
    return undefined
  }
  const ballast = join(path, 'ballast')
  return {
    path,
    takeRoom: (size) => writeFile(ballast, Buffer.alloc(size)),
    giveRoom: () => rm(ballast),
    async [Symbol.asyncDispose]() {
      await runCommand('umount', [path])
    },
  }
}
