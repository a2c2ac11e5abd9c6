import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Contender, StartedServer } from './contender.ts'
import type { Measurement } from './results.ts'
import { startWorkerProcess } from './worker-process.ts'

/** For garbage to be collected and pages to be given back. */
const SETTLE_MS = 1_500

/** Starts a server of its own, fills it, looks at its memory, and starts it again where it keeps what it has. */
export async function measureMemory(
  contender: Contender,
  { folder, records, measurement }: { folder: string; records: number; measurement: Measurement },
): Promise<void> {
  const options = { folder: join(folder, `${contender.name}-memory`) }
  const numbers: Record<string, number> = {}
  try {
    const [server, startMs] = await timed(() => contender.start(options))
    numbers['startMs'] = startMs
    {
      await using parts = new AsyncDisposableStack()
      parts.use(server.process)
      numbers['emptyBytes'] = await settledBytes(server)
      const worker = parts.use(await startWorkerProcess({ name: contender.name, url: server.url }))
      const { numbers: filled } = await worker.run({ kind: 'fill', records })
      numbers['fillMs'] = filled?.['tookMs'] ?? Number.NaN
      numbers['fullBytes'] = await settledBytes(server)
      numbers['peakBytes'] = await server.process.peakRssBytes()
      // At once, so that the session of the one who filled it lives on, and with it the records.
      server.process.kill('SIGKILL')
      await server.process.exited
    }
    if (contender.name === 'layerlock-sqlite') {
      const [again, restartMs] = await timed(() => contender.start(options))
      await using _ = again.process
      numbers['restartMs'] = restartMs
      numbers['restartedBytes'] = await settledBytes(again)
    }
    measurement.readings.push({ numbers })
  } catch (error) {
    measurement.failure = String(error)
  }
}

async function settledBytes({ process }: StartedServer): Promise<number> {
  await sleep(SETTLE_MS)
  return process.rssBytes()
}

async function timed<T>(act: () => Promise<T>): Promise<[T, number]> {
  const startMs = performance.now()
  const result = await act()
  return [result, performance.now() - startMs]
}
