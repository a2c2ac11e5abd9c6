import type { Contender, ScenarioName, StartedContender } from '../contender.ts'
import { ServerUsage } from '../server-usage.ts'
import { blobUrl, REPOSITORY, type Setting, startContender } from '../setting.ts'

/** One URL that is read by so many clients. */
interface Variant {
  readonly scenario: ScenarioName
  readonly name: string
  readonly clients: number
  readonly urlOf: (base: string) => string
  readonly takesPart: (contender: Contender) => boolean
}

/** A warm blob, read by more and more clients, and a manifest by digest and by tag: all have them already. */
export async function measureWarm(setting: Setting, scenarios: readonly ScenarioName[]): Promise<void> {
  const { contenders, options, results, onProgress } = setting
  await using parts = new AsyncDisposableStack()
  const entrants: { contender: Contender; server: StartedContender }[] = []
  for (const contender of contenders.filter((each) => each.scenarios.includes('warm'))) {
    onProgress(`starting ${contender.label}`)
    const server = await startContender(setting, contender, parts)
    await warmUp(setting, server.urls[0]!)
    entrants.push({ contender, server })
  }
  for (let round = 0; round <= options.extent.rounds; round++) {
    for (const variant of variantsOf(setting, scenarios)) {
      for (const { contender, server } of rotated(entrants, round)) {
        const { scenario, name } = variant
        if (!variant.takesPart(contender) || results.failureOf(scenario, name, contender.name) !== undefined) continue
        onProgress(`${scenario}, ${name}, round ${round} of ${options.extent.rounds}: ${contender.label}`)
        try {
          const numbers = await measure(setting, variant, server)
          if (round > 0) results.add(scenario, name, contender.name, numbers)
        } catch (error) {
          results.fail(scenario, name, contender.name, String(error))
        }
      }
    }
  }
}

export const MANIFEST_VARIANTS = [
  'by digest, 1 connection',
  'by digest, 32 connections',
  'by tag, 32 connections',
] as const

export function clientsVariant(clients: number): string {
  return `${clients} ${clients === 1 ? 'client' : 'clients'}`
}

function variantsOf({ blob, image, options }: Setting, scenarios: readonly ScenarioName[]): Variant[] {
  const { digest } = blob
  const manifestUrl = (base: string, reference: string) => `${base}/v2/${REPOSITORY}/manifests/${reference}`
  const all = () => true
  const byDigest = (base: string) => manifestUrl(base, image.top.digest)
  const variants: Variant[] = [
    ...options.extent.warmClients.map((clients) => ({
      scenario: 'warm' as const,
      name: clientsVariant(clients),
      clients,
      urlOf: (base: string) => blobUrl(base, digest),
      takesPart: all,
    })),
    { scenario: 'manifests', name: MANIFEST_VARIANTS[0], clients: 1, urlOf: byDigest, takesPart: all },
    { scenario: 'manifests', name: MANIFEST_VARIANTS[1], clients: 32, urlOf: byDigest, takesPart: all },
    {
      scenario: 'manifests',
      name: MANIFEST_VARIANTS[2],
      clients: 32,
      urlOf: (base) => manifestUrl(base, 'latest'),
      // Files have no tags.
      takesPart: ({ name }) => name !== 'node',
    },
  ]
  return variants.filter(({ scenario }) => scenarios.includes(scenario))
}

/** Fetches everything once, and then sees that what is answered is right. */
async function warmUp({ load, upstream, blob, image }: Setting, base: string): Promise<void> {
  const manifest = `${base}/v2/${REPOSITORY}/manifests/${image.top.digest}`
  for (let turn = 0; turn < 2; turn++) {
    for (const [url, digest] of [
      [manifest, image.top.digest],
      [blobUrl(base, blob.digest), blob.digest],
    ] as const) {
      const { digests } = await load.run({ kind: 'check', url })
      if (digests?.[0] !== digest) throw new Error(`${url} is answered with other bytes: ${digests?.[0]}`)
    }
    await upstream.requests.settled()
  }
}

async function measure({ load, options }: Setting, variant: Variant, { urls, pid }: StartedContender) {
  const usage = await ServerUsage.begin(pid!)
  const { clients, urlOf } = variant
  const reading = await load.run({ kind: 'read', url: urlOf(urls[0]!), clients, windowMs: options.extent.windowMs })
  const { cpuSeconds, peakRssBytes } = await usage.end()
  const seconds = reading.windowMs! / 1_000
  const samples = reading.samplesMs!.toSorted((a, b) => a - b)
  return {
    bytesPerSecond: reading.bytes! / seconds,
    answersPerSecond: reading.answers! / seconds,
    cpuPerGb: (cpuSeconds / reading.bytes!) * 1e9,
    cpuMsPerAnswer: (cpuSeconds / reading.answers!) * 1_000,
    peakRssBytes,
    p50Ms: samples[Math.floor(samples.length / 2)] ?? Number.NaN,
    p99Ms: samples[Math.floor(samples.length * 0.99)] ?? Number.NaN,
    loadShare: reading.cpuMs! / reading.windowMs!,
  }
}

function rotated<T>(values: readonly T[], by: number): T[] {
  const cut = values.length === 0 ? 0 : by % values.length
  return [...values.slice(cut), ...values.slice(0, cut)]
}
