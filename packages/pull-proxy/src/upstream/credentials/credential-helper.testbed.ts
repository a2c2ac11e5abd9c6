import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { temporaryFolder } from '@layerlock/test-support'

/** A folder of programs, which stands first in the `PATH` of `env`. */
export interface HelperFolder extends AsyncDisposable {
  readonly path: string
  readonly env: NodeJS.ProcessEnv
  /** Writes `docker-credential-<name>`: a shell script that finds the server's name in `$server`. */
  write(name: string, script: string): Promise<void>
  /** What each run so far was asked for. */
  asked(): Promise<string[]>
}

export async function createHelperFolder(): Promise<HelperFolder> {
  const folder = await temporaryFolder('helpers')
  const log = join(folder.path, 'asked')
  await writeFile(log, '')
  return {
    path: folder.path,
    env: { PATH: `${folder.path}:${process.env['PATH']}` },
    async write(name, script) {
      const path = join(folder.path, `docker-credential-${name}`)
      await writeFile(path, `#!/bin/sh\nserver=$(cat)\necho "$1 $server" >> '${log}'\n${script}\n`)
      await chmod(path, 0o755)
    },
    asked: async () => (await readFile(log, 'utf8')).split('\n').filter((line) => line !== ''),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  }
}

/** A script that gives credentials. */
export function gives(username: string, secret: string): string {
  return `echo '${JSON.stringify({ ServerURL: 'x', Username: username, Secret: secret })}'`
}
