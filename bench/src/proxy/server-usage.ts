import { readFile, writeFile } from 'node:fs/promises'

/** The kernel counts CPU time in hundredths of a second, on all that Linux runs on today. */
const TICKS_PER_SECOND = 100

/** What a server's process used, from /proc. */
export class ServerUsage {
  readonly #pid: number
  readonly #cpuSeconds: number

  private constructor(pid: number, cpuSeconds: number) {
    this.#pid = pid
    this.#cpuSeconds = cpuSeconds
  }

  /** Begins to count: CPU time from now on, and the most memory from now on. */
  static async begin(pid: number): Promise<ServerUsage> {
    // Sets the peak of resident memory back to what is resident now (proc(5), clear_refs).
    await writeFile(`/proc/${pid}/clear_refs`, '5').catch(() => undefined)
    return new ServerUsage(pid, await cpuSecondsOf(pid))
  }

  async end(): Promise<{ readonly cpuSeconds: number; readonly peakRssBytes: number }> {
    const status = await readFile(`/proc/${this.#pid}/status`, 'utf8')
    const peakKib = /^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]
    return {
      cpuSeconds: (await cpuSecondsOf(this.#pid)) - this.#cpuSeconds,
      peakRssBytes: Number(peakKib) * 1024,
    }
  }
}

async function cpuSecondsOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  // The name, in parentheses, may contain anything; the fields after it are counted from the third on.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}
