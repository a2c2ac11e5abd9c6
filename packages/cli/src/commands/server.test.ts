import { chmod, copyFile, mkdir, stat, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { join } from 'node:path'
import {
  createCertificate,
  type LayerlockProcess,
  type SelfSignedCertificate,
  startLockServer,
  temporaryFolder,
  type TemporaryFolder,
  waitFor,
} from '@layerlock/test-support'
import { afterEach, beforeEach, expect, test } from 'vitest'

/** Starting Node several times at once takes seconds on a small machine. */
const timeoutMs = 60_000
let folder: TemporaryFolder

beforeEach(async () => {
  folder = await temporaryFolder('server')
})

afterEach(async () => {
  await folder[Symbol.asyncDispose]()
})

async function certificateIn(name: string): Promise<SelfSignedCertificate> {
  const path = join(folder.path, name)
  await mkdir(path)
  return createCertificate(path)
}

/** Puts the files of a certificate to where the server looks for them. */
async function install(name: string): Promise<void> {
  for (const file of ['certificate.pem', 'key.pem']) {
    await copyFile(join(folder.path, name, file), join(folder.path, file))
  }
}

async function says(server: LayerlockProcess, message: string): Promise<void> {
  const hasSaid = () => server.logLines().some(({ msg }) => msg === message)
  await waitFor(hasSaid, { what: `the server to say: ${message}`, timeoutMs })
}

/** Whether the server shows this certificate to those who connect now. */
function shows({ url }: LayerlockProcess, { cert }: SelfSignedCertificate): Promise<boolean> {
  const sent = request(`${url}/healthz`, { ca: cert, agent: false }).end()
  return new Promise((resolve) => {
    sent.on('error', () => resolve(false))
    sent.on('response', (response) => resolve(response.resume().statusCode === 200))
  })
}

async function call(server: LayerlockProcess, method: string, path: string, init: RequestInit = {}) {
  const response = await fetch(server.url + path, { method, ...init })
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

function post(server: LayerlockProcess, path: string, session: string, body: object) {
  const headers = { 'content-type': 'application/json', 'layerlock-session': session }
  return call(server, 'POST', path, { headers, body: JSON.stringify(body) })
}

test(
  'layerlock server shows another certificate after a SIGHUP, and keeps it when the next one is no good',
  async () => {
    const [first, second] = [await certificateIn('first'), await certificateIn('second')]
    await install('first')
    const args = ['--tls-cert', join(folder.path, 'certificate.pem'), '--tls-key', join(folder.path, 'key.pem')]
    await using server = await startLockServer({ args })
    expect(server.url).toMatch(/^https:/)
    expect([await shows(server, first), await shows(server, second)]).toEqual([true, false])
    await install('second')
    server.kill('SIGHUP')
    await says(server, 'the certificate was read again')
    expect([await shows(server, first), await shows(server, second)]).toEqual([false, true])
    await writeFile(join(folder.path, 'certificate.pem'), 'nonsense')
    server.kill('SIGHUP')
    await says(server, 'the certificate could not be read again, the one before stays')
    expect(await shows(server, second)).toBe(true)
    server.kill()
    expect(await server.exited).toEqual({ code: 0, signal: null })
  },
  timeoutMs,
)

test(
  'layerlock server knows other tokens after a SIGHUP, and keeps them when the file is no good',
  async () => {
    const path = join(folder.path, 'tokens')
    await writeFile(path, 'old\nboth\n')
    await using server = await startLockServer({ args: ['--token-file', path] })
    const statuses = async () => {
      const headers = ['old', 'both', 'new'].map((token) => ({ authorization: `Bearer ${token}` }))
      return Promise.all(
        headers.map(async (each) => (await call(server, 'GET', '/v1/nodes', { headers: each })).status),
      )
    }
    expect(await statuses()).toEqual([200, 200, 401])
    await writeFile(path, 'new operator\nboth\n')
    server.kill('SIGHUP')
    await says(server, 'the tokens were read again')
    expect(await statuses()).toEqual([401, 200, 200])
    await writeFile(path, 'new\nold admin\n')
    server.kill('SIGHUP')
    await says(server, 'the tokens could not be read again, those before stay')
    expect(await statuses()).toEqual([401, 200, 200])
    server.kill()
    expect(await server.exited).toEqual({ code: 0, signal: null })
  },
  timeoutMs,
)

test(
  'layerlock server makes its data folder for its user alone, and leaves one that is there as it was',
  async () => {
    const modeOf = async (path: string) => (await stat(path)).mode & 0o777
    const [made, found] = [join(folder.path, 'a', 'made'), join(folder.path, 'found')]
    await mkdir(found)
    await chmod(found, 0o755)
    await using first = await startLockServer({ store: 'sqlite', dataFolder: made })
    await using second = await startLockServer({ store: 'sqlite', dataFolder: found })
    await post(first, '/v1/sessions', '', { node: 'a' })
    await post(second, '/v1/sessions', '', { node: 'a' })
    expect(await Promise.all([made, found].map(modeOf))).toEqual([0o700, 0o755])
    const files = [made, found].flatMap((path) => ['', '-wal'].map((end) => join(path, `layerlock.db${end}`)))
    expect(await Promise.all(files.map(modeOf))).toEqual([0o600, 0o600, 0o600, 0o600])
  },
  timeoutMs,
)

test(
  'layerlock server answers calls that are held back when it gets a SIGTERM, and ends with 0',
  async () => {
    await using server = await startLockServer()
    const opened = await post(server, '/v1/sessions', '', { node: 'a', disconnectGraceMs: 0 })
    const session = String(opened.body['id'])
    await post(server, '/v1/locks/k/acquire', session, { ticket: 't1' })
    const waitMs = 20_000
    const parked = post(server, '/v1/locks/k/acquire', session, { ticket: 't2', waitMs })
    const renewing = post(server, '/v1/sessions/renew', session, { waitMs })
    const watching = call(server, 'GET', `/v1/locks/k?waitMs=${waitMs}`)
    const isQueued = async () => (await call(server, 'GET', '/v1/locks/k')).body['state'] === 'queued'
    await waitFor(isQueued, { what: 'the call to be held back', timeoutMs })
    server.kill()
    expect(await parked).toMatchObject({ status: 200, body: { status: 'queued' } })
    expect(await renewing).toMatchObject({ status: 200, body: { ttlMs: 15_000 } })
    expect(await watching).toMatchObject({ status: 200, body: { state: 'queued' } })
    expect(await server.exited).toEqual({ code: 0, signal: null })
  },
  timeoutMs,
)

test(
  'layerlock server keeps to the roles and limits that it is told, by flags and by a file',
  async () => {
    await writeFile(join(folder.path, 'tokens'), 'one\ntwo operator\n')
    const config = join(folder.path, 'layerlock.toml')
    await writeFile(
      config,
      `[server]\ntokenFile = "${join(folder.path, 'tokens')}"\nmaxSessions = 1\nmaxValue = "10"\n`,
    )
    await using server = await startLockServer({ args: ['--config', config, '--max-body', '100'] })
    const as = (token: string) => ({ authorization: `Bearer ${token}`, 'content-type': 'application/json' })
    const send = (token: string, method: string, path: string, body?: object) =>
      call(server, method, path, { headers: as(token), body: body === undefined ? null : JSON.stringify(body) })
    const headers = (token: string) => ({ headers: { authorization: `Bearer ${token}` } })
    expect((await call(server, 'DELETE', '/v1/locks/k/outcome', headers('one'))).status).toBe(403)
    expect((await call(server, 'DELETE', '/v1/locks/k/outcome', headers('two'))).status).toBe(200)
    expect((await send('one', 'POST', '/v1/sessions', { node: 'a' })).status).toBe(201)
    expect((await send('one', 'POST', '/v1/sessions', { node: 'b' })).status).toBe(503)
    expect((await send('one', 'POST', '/v1/sessions', { node: 'x'.repeat(100) })).status).toBe(413)
  },
  timeoutMs,
)
