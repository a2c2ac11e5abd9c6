import { readFile } from 'node:fs/promises'

import { runCommand } from './run-command.ts'

/** Takes away every mount below a folder: a daemon that was killed leaves some, and these would keep it from being removed. */
export async function unmountAll(folder: string): Promise<void> {
  const points = (await readFile('/proc/self/mounts', 'utf8')).split('\n').map((line) => line.split(' ')[1] ?? '')
  for (const point of points.filter((each) => each.startsWith(`${folder}/`)).toReversed()) {
    await runCommand('umount', ['--lazy', point])
  }
}
