import { once } from 'node:events'
import { stat, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import {
  createLayer,
  httpGet,
  type LogLine,
  type RunningProcess,
  startLockServer,
  startProcess,
  startProxy,
  startRegistryServer,
  temporaryFolder,
  type TemporaryFolder,
  waitFor,
} from '@layerlock/test-support'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

/** Starting Node several times at once takes seconds on a small machine. */
const timeoutMs = 30_000
const mainPath = join(import.meta.dirname, 'main.ts')
let folder: TemporaryFolder

beforeAll(async () => {
  folder = await temporaryFolder('cli')
  await writeFile(join(folder.path, 'empty'), '')
  await writeFile(join(folder.path, 'token'), 'secret')
})

afterAll(async () => {
  await folder[Symbol.asyncDispose]()
})

const argsOf = (line: string) =>
  line
    .replaceAll('FOLDER', folder.path)
    .split(' ')
    .filter((arg) => arg !== '')

function start(line: string, env: Record<string, string | undefined> = {}): Promise<RunningProcess> {
  return startProcess({
    command: process.execPath,
    args: [mainPath, ...argsOf(line)],
    env: { NODE_OPTIONS: undefined, ...env },
  })
}

/** Runs the program in a process of its own, to its end. */
async function run(line: string) {
  await using running = await start(line)
  const { code } = await running.exited
  return { code, stdout: running.stdout.text, stderr: running.stderr.text }
}

const messagesOf = ({ stderr }: RunningProcess) =>
  stderr.lines.filter((line) => line.startsWith('{')).map((line) => (JSON.parse(line) as LogLine)['msg'])

/** A proxy's flags that are all right. */
const good = '--store FOLDER/store --upstream docker.io=http://127.0.0.1:1 --listen 127.0.0.1:0'

describe.concurrent('a process', () => {
  test(
    'ends with 2 after wrong usage',
    async () => {
      const { code, stdout, stderr } = await run('proxy --store FOLDER/store')
      expect(stderr).toBe('layerlock: upstream: is missing; expected at least one NAME=URL\n')
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    },
    timeoutMs,
  )

  test.each(['server', 'proxy'])(
    'ends with 1 and says which port of the %s is taken',
    async (command) => {
      const taken = createServer().listen(0, '127.0.0.1')
      await once(taken, 'listening')
      const listen = `127.0.0.1:${(taken.address() as AddressInfo).port}`
      const flags = command === 'proxy' ? good.replace('127.0.0.1:0', listen) : `--store memory --listen ${listen}`
      const { code, stderr } = await run(`${command} ${flags}`)
      taken.close()
      expect(stderr).toMatch(new RegExp(`^layerlock: listen: cannot listen on ${listen} \\(.*EADDRINUSE`, 'm'))
      expect(code).toBe(1)
    },
    timeoutMs,
  )

  test(
    'ends with 1 when a folder cannot be made, however a file system refuses it',
    async () => {
      const { code, stderr } = await run('server --listen 127.0.0.1:0 --data /proc/layerlock/data')
      expect(stderr).toMatch(/^layerlock: data: \/proc\/layerlock\/data cannot be used: ENOENT/m)
      expect(code).toBe(1)
    },
    timeoutMs,
  )

  test.each([
    ['proxy', 'listen', `${good} --listen nowhere.invalid:0`],
    ['proxy', 'peerListen', `${good} --peer-listen 192.0.2.1:0 --cluster-token-file FOLDER/token`],
    ['proxy', 'adminListen', `${good} --admin-listen 192.0.2.1:0`],
    ['up', 'serverListen', `${good} --server-listen 192.0.2.1:0`],
  ])(
    'of %s ends with 1 and says that %s has an address that is not this machine’s',
    async (command, setting, flags) => {
      const { code, stderr } = await run(`${command} ${flags} --insecure-listen`)
      expect(stderr).toMatch(new RegExp(`^layerlock: ${setting}: cannot listen on .*:0 \\(.*E[A-Z]+`, 'm'))
      expect(code).toBe(1)
    },
    timeoutMs,
  )

  test(
    'ends with 1 when the store is no folder',
    async () => {
      const { code, stderr } = await run(`proxy ${good.replace('FOLDER/store', 'FOLDER/empty')}`)
      expect(stderr).toMatch(/^layerlock: store: .*empty cannot be used: ENOTDIR/m)
      expect(code).toBe(1)
    },
    timeoutMs,
  )
})

describe('a program that runs', () => {
  test(
    'ends with 0 after a SIGTERM or a SIGINT, and says that it has stopped',
    async () => {
      await using server = await startLockServer()
      await using proxy = await startProxy({
        node: 'node-a',
        storeFolder: join(folder.path, 'stops'),
        lockServer: server.url,
        upstreams: { 'docker.io': 'http://127.0.0.1:1' },
      })
      proxy.kill('SIGTERM')
      server.kill('SIGINT')
      for (const running of [proxy, server]) {
        expect(await running.exited).toEqual({ code: 0, signal: null })
        expect(messagesOf(running).slice(-2)).toEqual(['stopping', 'stopped'])
        expect(running.stdout.text).toBe('')
      }
    },
    timeoutMs,
  )

  test(
    'as layerlock up serves a pull, with upstreams from the environment',
    async () => {
      await using registry = await startRegistryServer()
      const layer = await createLayer({ folder: folder.path, sizeBytes: 100_000, seed: 'cli' })
      registry.contents.addBlob('library/app', { ...layer, mediaType: 'application/octet-stream' })
      await using up = await start('up --store FOLDER/up --listen 127.0.0.1:0 --server-listen 127.0.0.1:0', {
        LAYERLOCK_UPSTREAM: `docker.io=${registry.url} ghcr.io=http://127.0.0.1:1`,
      })
      await waitFor(() => messagesOf(up).includes('ready'), { what: 'layerlock to be ready', timeoutMs })
      const [, url] = /"name":"proxy","url":"([^"]+)"/.exec(up.stderr.text)!
      expect((await stat(join(folder.path, 'up'))).mode & 0o777).toBe(0o700)
      const [, peer] = /"name":"peer","url":"([^"]+)"/.exec(up.stderr.text)!
      expect((await httpGet(`${peer}/peer/v1/blobs/${layer.digest}`)).status).toBe(401)
      const pulled = await httpGet(`${url}/v2/library/app/blobs/${layer.digest}?ns=docker.io`)
      expect(pulled).toMatchObject({ status: 200, digest: layer.digest })
      const [, server] = /"name":"server","url":"([^"]+)"/.exec(up.stderr.text)!
      const key = encodeURIComponent(`blob/${layer.digest}`)
      const isDone = async () => {
        const { body } = await httpGet(`${server}/v1/locks/${key}`, { keepBody: true })
        return (JSON.parse(String(body)) as { state: string }).state === 'done'
      }
      await waitFor(isDone, { what: 'the lock server to know of the blob' })
      up.kill()
      expect(await up.exited).toEqual({ code: 0, signal: null })
    },
    timeoutMs,
  )

  test(
    'ends at once at the second signal',
    async () => {
      await using registry = await startRegistryServer({ fault: () => ({ kind: 'hang', afterBytes: 1 }) })
      const layer = await createLayer({ folder: folder.path, sizeBytes: 200_000, seed: 'cli' })
      registry.contents.addBlob('library/app', { ...layer, mediaType: 'application/octet-stream' })
      await using proxy = await startProxy({
        node: 'node-a',
        storeFolder: join(folder.path, 'twice'),
        upstreams: { 'docker.io': registry.url },
        defaultUpstream: 'docker.io',
      })
      const pulling = httpGet(`${proxy.url}/v2/library/app/blobs/${layer.digest}`)
      await waitFor(() => registry.requests.bytesOf() === 1, { what: 'the pull to begin' })
      proxy.kill()
      await waitFor(() => messagesOf(proxy).includes('stopping'), { what: 'the proxy to stop' })
      proxy.kill()
      expect(await proxy.exited).toEqual({ code: 1, signal: null })
      await pulling
    },
    timeoutMs,
  )
})
