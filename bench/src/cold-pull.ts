/**
 * One cold blob, many clients at once, an upstream of limited rate: what does upstream send, and how long does it take?
 * All contenders run in turn against the same registry; compare them with each other, not with another machine.
 *
 * Usage: pnpm --filter @layerlock/bench cold-pull [--clients 8] [--mib 200] [--mbps 50]
 */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { createLayer, httpGet, startRegistryServer, temporaryFolder } from '@layerlock/test-support'
import Table from 'cli-table3'
import { type Contender, direct, dockerRegistry, manyProxies, nginx, oneProxy } from './contender.ts'

const { values } = parseArgs({
  options: {
    clients: { type: 'string', default: '8' },
    mib: { type: 'string', default: '200' },
    mbps: { type: 'string', default: '50' },
  },
})
const clients = Number(values.clients)
const bytesPerSecond = Number(values.mbps) * 1e6

await using folder = await temporaryFolder('bench')
const layer = await createLayer({ folder: folder.path, sizeBytes: Number(values.mib) * 1024 * 1024, seed: 1 })
await using upstream = await startRegistryServer({ rateBytesPerSecond: bytesPerSecond })
upstream.contents.addBlob('library/bench', { ...layer, mediaType: 'application/vnd.oci.image.layer.v1.tar' })
const oneCopyMs = (layer.size / bytesPerSecond) * 1_000

const table = new Table({
  head: ['', 'upstream fetches', 'bytes ÷ one copy', 'wall time', '÷ one copy', 'worst first byte'],
  style: { head: [], border: [] },
})
for (const contender of [direct, dockerRegistry, nginx, oneProxy, manyProxies]) table.push(await run(contender))
process.stdout.write(
  `One blob of ${values.mib} MiB, ${clients} clients at once, cold, upstream at ${values.mbps} MB/s in all ` +
    `(one copy takes ${(oneCopyMs / 1_000).toFixed(2)} s)\n${table.toString()}\n`,
)

async function run(contender: Contender): Promise<string[]> {
  await using parts = new AsyncDisposableStack()
  const urls = await contender.start({
    upstream: upstream.url,
    clients,
    folder: join(folder.path, contender.name.replaceAll(/\W+/g, '-')),
    parts,
  })
  if (urls === undefined) return [contender.name, 'not installed']
  upstream.requests.clear()
  const startMs = performance.now()
  const results = await Promise.all(
    urls.map((url) => httpGet(`${url}/v2/library/bench/blobs/${layer.digest}`, { timeoutMs: 600_000 })),
  )
  const wallMs = performance.now() - startMs
  await upstream.requests.settled({ timeoutMs: 60_000 })
  const wrong = results.filter(({ digest }) => digest !== layer.digest).length
  const worst = Math.max(...results.map(({ firstByteMs }) => firstByteMs ?? Infinity))
  return [
    contender.name + (wrong > 0 ? ` (${wrong} clients got wrong or too few bytes)` : ''),
    String(upstream.requests.countOf({ method: 'GET', digest: layer.digest })),
    (upstream.requests.bytesOf(layer.digest) / layer.size).toFixed(2),
    `${(wallMs / 1_000).toFixed(2)} s`,
    (wallMs / oneCopyMs).toFixed(2),
    `${worst.toFixed(0)} ms`,
  ]
}
