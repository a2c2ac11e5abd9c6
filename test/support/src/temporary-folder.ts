import { rmSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A folder of one test's own, removed with everything in it on dispose. */
export interface TemporaryFolder extends AsyncDisposable {
  readonly path: string
}

/** What a run that ends without disposing leaves behind, removed at exit as far as that works. */
const leftOver = new Set<string>()

process.on('exit', () => {
  for (const path of leftOver) {
    try {
      rmSync(path, { recursive: true, force: true })
    } catch {
      // A process that is still writing there, or a mount: nothing more can be done at exit.
    }
  }
})

/**
 * Makes an empty folder below the system's folder for temporary files.
 *
 * @param prefix says whose it is, e.g. `containerd`; keep it short, since Unix sockets below it have at most 107 bytes
 *
 * @example
 * await using folder = await temporaryFolder('store');
 */
export async function temporaryFolder(prefix: string): Promise<TemporaryFolder> {
  const path = await mkdtemp(join(tmpdir(), `layerlock-${prefix}-`))
  leftOver.add(path)
  return {
    path,
    async [Symbol.asyncDispose]() {
      await rm(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 })
      leftOver.delete(path)
    },
  }
}
