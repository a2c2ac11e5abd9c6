import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import { get } from 'node:https'
import { join } from 'node:path'
import {
  createCertificate,
  createLayer,
  httpGet,
  type LayerlockProcess,
  type RegistryServer,
  type SelfSignedCertificate,
  startProcess,
  startProxy,
  startRegistryServer,
  temporaryFolder,
  type TemporaryFolder,
  waitFor,
} from '@layerlock/test-support'
import { afterEach, beforeEach, expect, test } from 'vitest'

/** Starting Node several times at once takes seconds on a small machine. */
const timeoutMs = 60_000
let stack: AsyncDisposableStack
let folder: TemporaryFolder
let registry: RegistryServer

beforeEach(async () => {
  stack = new AsyncDisposableStack()
  folder = stack.use(await temporaryFolder('proxy'))
  registry = stack.use(await startRegistryServer())
})

afterEach(async () => {
  await stack.disposeAsync()
})

async function certificateIn(name: string): Promise<SelfSignedCertificate> {
  const path = join(folder.path, name)
  await mkdir(path)
  return createCertificate(path)
}

/** Puts the files of a certificate to where the proxy looks for them. */
async function install(name: string): Promise<void> {
  for (const file of ['certificate.pem', 'key.pem']) {
    await copyFile(join(folder.path, name, file), join(folder.path, file))
  }
}

/** What `htpasswd -nbBC 4` makes of some passwords. */
const HASHES = {
  one: '$2y$04$5R9rlk0MQTMfXv2nndpZCuJpisMYUDxStIxI2Ifi2PA74.28WD3FO',
  two: '$2y$04$bN5zceeaYG4RmQaZ1PGZT.BUPeZTNzkkBcdxubVz/bUfK2QPb9C5u',
  new: '$2y$04$Recexs5UxlI66JYgsYM4G..YzcUZG5OdN/ANr4Fp7oCOACpBIp8q.',
}

async function writeUsers(users: Readonly<Record<string, keyof typeof HASHES>>): Promise<string> {
  const path = join(folder.path, 'users')
  const lines = Object.entries(users).map(([user, password]) => `${user}:${HASHES[password]}\n`)
  await writeFile(path, lines.join(''))
  return path
}

function start(args: readonly string[]) {
  return startProxy({
    node: 'node-a',
    storeFolder: join(folder.path, 'store'),
    upstreams: { 'docker.io': registry.url },
    defaultUpstream: 'docker.io',
    args,
  })
}

async function says(proxy: LayerlockProcess, message: string): Promise<void> {
  const hasSaid = () => proxy.logLines().some(({ msg }) => msg === message)
  await waitFor(hasSaid, { what: `the proxy to say: ${message}`, timeoutMs })
}

/** The status of `/v2/` for somebody who trusts one certificate, or `undefined` where that is not shown. */
function statusOf(url: string, { cert }: SelfSignedCertificate, credentials?: string): Promise<number | undefined> {
  const headers = credentials === undefined ? {} : { authorization: `Basic ${btoa(credentials)}` }
  const sent = get(`${url}/v2/`, { ca: cert, agent: false, headers })
  return new Promise((resolve) => {
    sent.on('error', () => resolve(undefined))
    sent.on('response', (response) => resolve(response.resume().statusCode))
  })
}

test(
  'layerlock proxy shows another certificate and knows other users after a SIGHUP, and keeps them when files are no good',
  async () => {
    const [first, second] = [await certificateIn('first'), await certificateIn('second')]
    await install('first')
    const usersFile = await writeUsers({ ann: 'one', bob: 'two' })
    const tls = ['--tls-cert', join(folder.path, 'certificate.pem'), '--tls-key', join(folder.path, 'key.pem')]
    await using proxy = await start([...tls, '--users-file', usersFile, '--listen', '0.0.0.0:0'])
    const url = proxy.url.replace('0.0.0.0', '127.0.0.1')
    expect(url).toMatch(/^https:/)
    expect([await statusOf(url, first), await statusOf(url, second)]).toEqual([401, undefined])
    expect([await statusOf(url, first, 'ann:one'), await statusOf(url, first, 'bob:two')]).toEqual([200, 200])

    await install('second')
    await writeUsers({ ann: 'new' })
    proxy.kill('SIGHUP')
    await says(proxy, 'the users were read again')
    await says(proxy, 'the certificate was read again')
    expect([await statusOf(url, first), await statusOf(url, second, 'ann:new')]).toEqual([undefined, 200])
    expect([await statusOf(url, second, 'ann:one'), await statusOf(url, second, 'bob:two')]).toEqual([401, 401])

    await writeFile(join(folder.path, 'certificate.pem'), 'nonsense')
    await writeFile(usersFile, 'ann:s3cret\n')
    proxy.kill('SIGHUP')
    await says(proxy, 'the users could not be read again, those before stay')
    await says(proxy, 'the certificate could not be read again, the one before stays')
    expect(await statusOf(url, second, 'ann:new')).toBe(200)
    expect(proxy.stderr.text).not.toContain('s3cret')
    proxy.kill()
    expect(await proxy.exited).toEqual({ code: 0, signal: null })
  },
  timeoutMs,
)

test(
  'layerlock proxy does not hand a user’s password of its own to upstream',
  async () => {
    const layer = await createLayer({ folder: folder.path, sizeBytes: 1_000, seed: 'users' })
    registry.contents.addBlob('library/app', { ...layer, mediaType: 'application/octet-stream' })
    await using proxy = await start(['--users-file', await writeUsers({ ann: 'one' })])
    const url = `${proxy.url}/v2/library/app/blobs/${layer.digest}`
    expect((await httpGet(url)).status).toBe(401)
    expect(registry.requests.countOf()).toBe(0)
    const pulled = await httpGet(url, { headers: { authorization: `Basic ${btoa('ann:one')}` } })
    expect(pulled).toMatchObject({ status: 200, digest: layer.digest })
    expect(registry.requests.all).toMatchObject([{ method: 'GET', authorization: false }])
  },
  timeoutMs,
)

test(
  'layerlock proxy takes upstreams from a table of the file',
  async () => {
    const layer = await createLayer({ folder: folder.path, sizeBytes: 1_000, seed: 'table' })
    registry.contents.addBlob('library/app', { ...layer, mediaType: 'application/octet-stream' })
    const config = join(folder.path, 'layerlock.toml')
    const upstreams = `[proxy.upstream]\n"ghcr.io" = "http://127.0.0.1:1"\n[proxy.upstream."docker.io"]\nurl = "${registry.url}"`
    await writeFile(config, `${upstreams}\nconcurrency = 4\ntagPolicy = "always"\n`)
    await using proxy = await startProxy({
      node: 'node-a',
      storeFolder: join(folder.path, 'store'),
      upstreams: {},
      args: ['--config', config],
    })
    const pulled = await httpGet(`${proxy.url}/v2/docker.io/library/app/blobs/${layer.digest}`)
    expect(pulled).toMatchObject({ status: 200, digest: layer.digest })
  },
  timeoutMs,
)

test(
  'layerlock up serves clients by https, and keeps the certificate from the lock server within',
  async () => {
    const certificate = await certificateIn('only')
    await install('only')
    const listen = ['--listen', '127.0.0.1:0', '--server-listen', '127.0.0.1:0', '--store', join(folder.path, 'store')]
    const tls = ['--tls-cert', join(folder.path, 'certificate.pem'), '--tls-key', join(folder.path, 'key.pem')]
    await using up = await startProcess({
      command: process.execPath,
      args: [
        join(import.meta.dirname, '..', 'main.ts'),
        'up',
        ...listen,
        ...tls,
        '--upstream',
        `docker.io=${registry.url}`,
      ],
      env: { NODE_OPTIONS: undefined },
      readyWhen: /"msg":"ready"/,
      readyTimeoutMs: timeoutMs,
    })
    const [, proxyUrl] = /"name":"proxy","url":"([^"]+)"/.exec(up.stderr.text)!
    const [, serverUrl] = /"name":"server","url":"([^"]+)"/.exec(up.stderr.text)!
    expect(await statusOf(proxyUrl!, certificate)).toBe(200)
    expect((await httpGet(`${serverUrl}/healthz`)).status).toBe(200)
  },
  timeoutMs,
)

test(
  'layerlock proxy listens anywhere without TLS when it is told to',
  async () => {
    await using proxy = await start(['--listen', '0.0.0.0:0', '--insecure-listen'])
    expect((await httpGet(`${proxy.url.replace('0.0.0.0', '127.0.0.1')}/v2/`)).status).toBe(200)
  },
  timeoutMs,
)
