import { readFileSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  createImage,
  createLayer,
  freePort,
  httpGet,
  type Image,
  type RegistryServer,
  requireBinaries,
  requireRoot,
  type RunningProcess,
  runCommand,
  startContainerd,
  startProcess,
  startRegistryServer,
  temporaryFolder,
  waitFor,
} from '@layerlock/test-support'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '..', '..')
const MIB = 1024 * 1024
const canUseContainerd = requireBinaries('containerd', 'ctr').available && requireRoot().available

/** The fenced blocks of the README in one language, in their order. */
function blocks(language: string): string[] {
  const text = readFileSync(join(ROOT, 'README.md'), 'utf8')
  return [...text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)]
    .filter(([, name]) => name === language)
    .map(([, , body]) => body!)
}

describe('the README', () => {
  const parts = new AsyncDisposableStack()
  let folder: string
  let image: Image
  let upstream: RegistryServer
  /** What its words stand for on this machine: other ports, another registry, a temporary folder. */
  let places: readonly (readonly [string, string])[]

  const [twoCommands, serverCommand, proxyCommand, statusCommand, ...others] = blocks('sh')
  const [hostsToml, ...otherToml] = blocks('toml')
  const [sdkExample, ...otherExamples] = blocks('ts')

  function here(text: string): string {
    return places.reduce((done, [there, place]) => done.replaceAll(there, place), text)
  }

  async function run(command: string): Promise<RunningProcess> {
    return startProcess({ command: 'sh', args: ['-c', `exec ${here(command)}`], cwd: ROOT, readyWhen: /"msg":"ready"/ })
  }

  beforeAll(async () => {
    folder = parts.use(await temporaryFolder('readme')).path
    image = await createImage({ folder, layers: [await createLayer({ folder, sizeBytes: 3 * MIB, seed: 5 })] })
    upstream = parts.use(await startRegistryServer())
    upstream.contents.addImage(image, { repository: 'library/app', tag: '1' })
    places = [
      ['https://registry-1.docker.io', upstream.url],
      ['/var/lib/layerlock-server', join(folder, 'server')],
      ['/var/lib/layerlock', join(folder, 'store')],
      ['127.0.0.1:7400', `127.0.0.1:${await freePort()}`],
      ['127.0.0.1:5050', `127.0.0.1:${await freePort()}`],
      ['127.0.0.1:5052', `127.0.0.1:${await freePort()}`],
    ]
    parts.use(await run(serverCommand!))
    parts.use(await run(proxyCommand!))
  })
  afterAll(() => parts.disposeAsync())

  test('has no command, configuration or example that is not tested here', () => {
    expect([others, otherToml, otherExamples]).toEqual([[], [], []])
    const scripts = (
      JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> }
    ).scripts
    const commands = [...twoCommands!.matchAll(/^npm (?:run )?(\w+)/gm)].map(([, name]) => name!)
    expect(commands).toEqual(['demo', 'test'])
    // The demo has a test of its own; this is `npm test`.
    expect(scripts['demo']).toMatch(/&& node examples\/two-node\/src\/main\.ts$/)
    expect(scripts['test']).toMatch(/vitest run/)
  })

  test('starts a lock server and a proxy that serve an image', async () => {
    const layer = image.layers[0]!
    const blob = await httpGet(here(`http://127.0.0.1:5050/v2/library/app/blobs/${layer.digest}`))
    expect(blob).toMatchObject({ status: 200, digest: layer.digest })
    // The client has its bytes before they are on the proxy's disk, and the lock server is told after that.
    const record = await waitFor(
      async () => {
        const lock = await httpGet(here(`http://127.0.0.1:7400/v1/locks/blob/${layer.digest}`), { keepBody: true })
        const shown = JSON.parse(lock.body!.toString()) as { state: string; outcome?: { copyCount: number } }
        return shown.state === 'done' && shown
      },
      { what: 'the lock server to be told' },
    )
    expect(record.outcome).toMatchObject({ copyCount: 1 })
  })

  test.skipIf(!requireBinaries('curl').available)('shows the status', async () => {
    const { stdout } = await runCommand('sh', ['-c', here(statusCommand!)])
    expect(JSON.parse(stdout)).toMatchObject({ bytes: { peer: 0 }, degraded: { pulls: 0 } })
  })

  test.skipIf(!canUseContainerd)('points containerd at the proxy', async () => {
    await using containerd = await startContainerd()
    const hostsFolder = join(folder, 'certs.d')
    await mkdir(join(hostsFolder, 'docker.io'), { recursive: true })
    // Without the way out to upstream, so that the pull can only have come through the proxy.
    const toml = here(hostsToml!.replace('https://registry-1.docker.io', 'http://127.0.0.1:1'))
    await writeFile(join(hostsFolder, 'docker.io', 'hosts.toml'), toml)
    await containerd.pull('docker.io/library/app:1', { hostsFolder })
    await containerd.check('docker.io/library/app:1')
    await containerd.verifyContent()
    expect(new Set(await containerd.contentDigests())).toEqual(new Set(image.pulledDigests))
  })

  test('has an SDK example that runs', async () => {
    const file = join(import.meta.dirname, `readme-example-${process.pid}.ts`)
    const helpers = `
      function build({ signal }: { signal: AbortSignal }) { return Promise.resolve({ aborted: signal.aborted }) }
      function print(job: { token: number; signal: AbortSignal }) { return Promise.resolve(job) }`
    const report = `console.log(JSON.stringify({ value, ran, by, isHeld: lease.held, isToken: lease.fencingToken > 0 }))`
    await writeFile(file, [here(sdkExample!), helpers, report].join('\n'))
    try {
      const { stdout } = await runCommand(process.execPath, [file])
      const expected = { value: { aborted: false }, ran: true, by: 'worker-1', isHeld: true, isToken: true }
      expect(JSON.parse(stdout)).toEqual(expected)
    } finally {
      await rm(file)
    }
  })
})
