import { execFile } from 'node:child_process'

/** How to run a command. */
export interface RunCommandOptions {
  /** Added to this process's own environment; undefined takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined
  readonly cwd?: string | undefined
  /** Default 120,000; it gets a SIGKILL then. */
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** What a command that succeeded has printed. */
export interface CommandOutput {
  readonly stdout: string
  readonly stderr: string
}

/**
 * Runs a program to its end.
 *
 * @throws Error with its output when its status is not 0 or the time is over
 */
export function runCommand(
  command: string,
  args: readonly string[],
  options: RunCommandOptions = {},
): Promise<CommandOutput> {
  const { env, cwd, timeoutMs = 120_000, signal } = options
  return new Promise((resolve, reject) => {
    execFile(
      command,
      args,
      {
        cwd,
        env: { ...process.env, ...env },
        killSignal: 'SIGKILL',
        maxBuffer: 64 * 1024 * 1024,
        signal,
        timeout: timeoutMs,
      },
      (error, stdout, stderr) => {
        if (error === null) return resolve({ stdout, stderr })
        const what = `${command} ${args.join(' ')}`
        const why = error.killed === true ? 'was killed' : `failed with ${String(error.code)}`
        reject(new Error(`${what} ${why}: ${(stdout + stderr).slice(-4_000)}`, { cause: error }))
      },
    )
  })
}
