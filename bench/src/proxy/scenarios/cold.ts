import { blobUrl, type Setting, startContender } from '../setting.ts'

export const COLD_VARIANTS = ['whole', 'cut at half'] as const

/** How often each is measured: it takes seconds, and its rate is set by upstream. */
const ROUNDS = 1

/** The label of what all others are held against. */
export const ONE_COPY = 'one copy'

/** One cold blob, many clients at once, an upstream of limited rate: what does it send, and how long does it take? */
export async function measureCold(setting: Setting): Promise<void> {
  const { contenders, options, upstream, load, image, results, onProgress } = setting
  const { coldClients, coldBytesPerSecond } = options.extent
  upstream.rate.bytesPerSecond = coldBytesPerSecond
  try {
    onProgress('cold: one direct copy')
    results.add('cold', ONE_COPY, 'direct', await pull(setting, [upstream.url]))
    for (const variant of COLD_VARIANTS) {
      for (const contender of contenders.filter((each) => each.scenarios.includes('cold'))) {
        for (let round = 0; round < ROUNDS; round++) {
          onProgress(`cold, ${variant}: ${contender.label}`)
          await using parts = new AsyncDisposableStack()
          try {
            const { urls } = await startContender(setting, contender, parts, coldClients)
            // A process that was started this second has not loaded all of its code; one on a node has.
            for (const url of new Set(urls)) await load.run({ kind: 'check', url: blobUrl(url, image.config.digest) })
            if (variant === 'cut at half') upstream.fault = cutAtHalf(setting)
            results.add('cold', variant, contender.name, await pull(setting, urls))
          } catch (error) {
            results.fail('cold', variant, contender.name, String(error))
          } finally {
            upstream.fault = undefined
          }
        }
      }
    }
  } finally {
    upstream.rate.bytesPerSecond = undefined
  }
}

/** The first answer is cut with a plain close; those that follow it are whole. */
function cutAtHalf({ blob }: Setting) {
  const afterBytes = Math.floor(blob.size / 2)
  return ({ nth, digest, method }: { nth: number; digest: string | undefined; method: string }) =>
    nth === 1 && method === 'GET' && digest === blob.digest ? ({ kind: 'cut', afterBytes } as const) : undefined
}

async function pull({ upstream, load, blob }: Setting, bases: readonly string[]) {
  upstream.requests.clear()
  const { digests, wallMs, samplesMs } = await load.run({
    kind: 'pull',
    urls: bases.map((base) => blobUrl(base, blob.digest)),
  })
  await upstream.requests.settled({ timeoutMs: 120_000 })
  return {
    wallMs: wallMs!,
    fetches: upstream.requests.countOf({ method: 'GET', digest: blob.digest }),
    copies: upstream.requests.bytesOf(blob.digest) / blob.size,
    firstByteMs: Math.max(...samplesMs!),
    wrong: digests!.filter((digest) => digest !== blob.digest).length,
  }
}
