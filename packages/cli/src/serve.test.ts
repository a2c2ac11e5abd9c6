import { join } from 'node:path'
import { type RunningProcess, startLockServer, startProcess, temporaryFolder, waitFor } from '@layerlock/test-support'
import { expect, test } from 'vitest'

/** Starting Node several times at once takes seconds on a small machine. */
const timeoutMs = 60_000

function start(args: readonly string[]): Promise<RunningProcess> {
  const listen = ['--upstream', 'docker.io=http://127.0.0.1:1', '--listen', '127.0.0.1:0']
  return startProcess({
    command: process.execPath,
    args: [join(import.meta.dirname, 'main.ts'), ...args, ...listen],
    env: { NODE_OPTIONS: undefined },
  })
}

async function says({ stderr }: RunningProcess, message: string): Promise<void> {
  await waitFor(() => stderr.text.includes(`"msg":"${message}"`), { what: `it to say: ${message}`, timeoutMs })
}

test(
  'a program that has no files to read again lives on after a SIGHUP, and says so',
  async () => {
    await using folder = await temporaryFolder('serve')
    await using server = await startLockServer()
    await using proxy = await start(['proxy', '--store', join(folder.path, 'proxy')])
    await using up = await start(['up', '--store', join(folder.path, 'up'), '--server-listen', '127.0.0.1:0'])
    for (const running of [server, proxy, up]) {
      await says(running, 'ready')
      running.kill('SIGHUP')
      await says(running, 'there is nothing to read again')
      running.kill()
      expect(await running.exited).toEqual({ code: 0, signal: null })
    }
  },
  timeoutMs,
)
