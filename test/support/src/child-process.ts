import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

import { findBinary } from './binaries.ts'
import { CapturedOutput } from './captured-output.ts'

/** What to start, and when it counts as started. */
export interface StartProcessOptions {
  readonly command: string
  readonly args?: readonly string[] | undefined
  /** Added to this process's own environment; undefined takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined
  readonly cwd?: string | undefined
  /**
   * The output that says so, or a function that resolves then; its signal is aborted when nobody waits for it any more.
   * Default: at once.
   */
  readonly readyWhen?: RegExp | ((process: RunningProcess, signal: AbortSignal) => Promise<unknown>) | undefined
  /** Default 15,000. */
  readonly readyTimeoutMs?: number | undefined
}

/** How a process ended. */
export interface ProcessExit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** A child process. Dispose: SIGTERM, SIGKILL 5 s later, and no child of its group survives. */
export interface RunningProcess extends AsyncDisposable {
  readonly pid: number
  readonly stdout: CapturedOutput
  readonly stderr: CapturedOutput
  /** Never rejects. */
  readonly exited: Promise<ProcessExit>
  /** Undefined while it runs. */
  readonly exit: ProcessExit | undefined
  /** Sends a signal to the process (not to its children) and does not wait. Default SIGTERM. */
  kill(signal?: NodeJS.Signals): void
  /** Memory resident now, in bytes. */
  rssBytes(): Promise<number>
  /** The most memory that was ever resident, in bytes. */
  peakRssBytes(): Promise<number>
  /** The first match in stdout or stderr, in what was written before too. Rejects when the process ends without. */
  waitForOutput(pattern: RegExp, options?: { timeoutMs?: number | undefined }): Promise<RegExpExecArray>
}

const killAfterMs = 5_000
const runningGroups = new Set<number>()

process.on('exit', () => {
  for (const pid of runningGroups) signalGroup(pid, 'SIGKILL')
})

/**
 * Starts a program in a process group of its own. It dies with this process: by `process.on('exit')`, and where
 * util-linux' `setpriv` is installed by the kernel too, even if this process gets a SIGKILL.
 *
 * @throws Error with the last of its output when it ends or the time is over before it is ready
 */
export async function startProcess(options: StartProcessOptions): Promise<RunningProcess> {
  const setpriv = findBinary('setpriv')
  const args = [...(options.args ?? [])]
  const child = spawn(
    setpriv ?? options.command,
    setpriv === undefined ? args : ['--pdeathsig', 'KILL', '--', options.command, ...args],
    {
      cwd: options.cwd,
      detached: true,
      env: { ...process.env, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  await once(child, 'spawn')
  const pid = child.pid!
  runningGroups.add(pid)
  const stdout = new CapturedOutput(child.stdout)
  const stderr = new CapturedOutput(child.stderr)

  let exit: ProcessExit | undefined
  const { promise: exited, resolve } = Promise.withResolvers<ProcessExit>()
  // 'close' and not 'exit', so that all output is there when the end is told.
  child.once('exit', (code, signal) => {
    exit = { code, signal }
    // Whoever inherited the pipes would keep 'close' from coming.
    signalGroup(pid, 'SIGKILL')
    runningGroups.delete(pid)
  })
  child.once('close', (code, signal) => resolve({ code, signal }))

  const running: RunningProcess = {
    pid,
    stdout,
    stderr,
    exited,
    get exit() {
      return exit
    },
    kill(signal = 'SIGTERM') {
      child.kill(signal)
    },
    rssBytes: () => statusBytes(pid, 'VmRSS'),
    peakRssBytes: () => statusBytes(pid, 'VmHWM'),
    waitForOutput: (pattern, { timeoutMs = 15_000 } = {}) => waitForOutput(running, pattern, timeoutMs),
    async [Symbol.asyncDispose]() {
      if (exit === undefined) {
        signalGroup(pid, 'SIGTERM')
        const stop = new AbortController()
        await Promise.race([exited, sleep(killAfterMs, undefined, { signal: stop.signal }).catch(() => undefined)])
        stop.abort()
      }
      if (exit === undefined) signalGroup(pid, 'SIGKILL')
      await exited
    },
  }

  try {
    await becomeReady(running, options)
  } catch (error) {
    await running[Symbol.asyncDispose]()
    throw new Error(`${options.command} ${args.join(' ')} did not start: ${lastOutput(running)}`, { cause: error })
  }
  return running
}

async function becomeReady(running: RunningProcess, options: StartProcessOptions): Promise<void> {
  const { readyWhen, readyTimeoutMs = 15_000 } = options
  if (readyWhen === undefined) return
  if (readyWhen instanceof RegExp) {
    await running.waitForOutput(readyWhen, { timeoutMs: readyTimeoutMs })
    return
  }
  const stop = new AbortController()
  await Promise.race([
    readyWhen(running, stop.signal),
    running.exited.then(({ code, signal }) => Promise.reject(new Error(`ended with ${signal ?? code}`))),
    sleep(readyTimeoutMs, undefined, { signal: stop.signal }).then(() =>
      Promise.reject(new Error(`not ready after ${readyTimeoutMs} ms`)),
    ),
  ]).finally(() => stop.abort())
}

async function waitForOutput(running: RunningProcess, pattern: RegExp, timeoutMs: number): Promise<RegExpExecArray> {
  const { promise, resolve, reject } = Promise.withResolvers<RegExpExecArray>()
  const look = (): void => {
    const match = [running.stdout, running.stderr].map(({ text }) => pattern.exec(text)).find((found) => found !== null)
    if (match) resolve(match)
  }
  const fail = (why: string): void =>
    reject(new Error(`no output like ${String(pattern)}: ${why}; ${lastOutput(running)}`))
  const stopListening = [running.stdout, running.stderr].map((output) => output.onChange(look))
  const timer = setTimeout(() => fail(`waited ${timeoutMs} ms`), timeoutMs)
  void running.exited.then(({ code, signal }) => fail(`the process ended with ${signal ?? code}`))
  look()
  try {
    return await promise
  } finally {
    clearTimeout(timer)
    for (const stop of stopListening) stop()
  }
}

function lastOutput({ stdout, stderr }: RunningProcess): string {
  return `stdout: ${stdout.text.slice(-2_000)} stderr: ${stderr.text.slice(-4_000)}`
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal)
  } catch {
    // The group is gone already.
  }
}

async function statusBytes(pid: number, field: 'VmRSS' | 'VmHWM'): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const kib = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]
  if (kib === undefined) throw new Error(`process ${pid} has no ${field}`)
  return Number(kib) * 1024
}
