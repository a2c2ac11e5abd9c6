import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  createLayer,
  digestOf,
  httpGet,
  type LayerlockProcess,
  type ProxyProcess,
  type RegistryServer,
  startLockServer,
  startProxy,
  startRegistryServer,
  temporaryFolder,
} from '@layerlock/test-support'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  FAILURES,
  FAILURES_OF_REQUESTS,
  type LeakyUpstream,
  startLeakyUpstream,
  UPSTREAM_SECRETS,
} from './leaky-upstream.ts'
import { findSecrets } from './secret-finder.ts'

const PASSWORD = 'pässword/with+all&kinds="of":characters%20'
const WRONG_PASSWORD = 'a-password-that-is-wrong'
const CLIENT_TOKEN = 'the-token-of-the-client.eyJ'
const CLIENT_PASSWORD = 'the-password-of-the-client'
const CLUSTER_TOKEN = 'the-token-of-the-cluster-88'
const LOCK_TOKEN = 'the-token-of-the-lock-server-99'
const OTHER_TOKEN = 'a-token-that-nobody-knows'
const DIGEST = digestOf('nothing')

describe('secrets', () => {
  const parts = new AsyncDisposableStack()
  const proxies: ProxyProcess[] = []
  const answers = new Map<string, string>()
  let leaky: LeakyUpstream
  let registry: RegistryServer
  let lockServer: LayerlockProcess
  let layerDigest: string
  /** What the registry was sent. */
  const sent = new Set<string>()

  beforeAll(async () => {
    const { path: folder } = parts.use(await temporaryFolder('secrets'))
    const credentials = { user: 'robot', password: PASSWORD }
    leaky = parts.use(await startLeakyUpstream())
    registry = parts.use(await startRegistryServer({ auth: { credentials }, redirectBlobsTo: '127.0.0.2' }))
    registry.fault = ({ authorization }) => {
      if (authorization !== undefined) sent.add(authorization)
      return undefined
    }
    const layer = await createLayer({ folder, sizeBytes: 4_096, seed: 'secrets' })
    layerDigest = layer.digest
    registry.contents.addBlob('library/app', { ...layer, mediaType: 'application/octet-stream' })

    const fileOf = async (name: string, content: string): Promise<string> => {
      await writeFile(join(folder, name), content)
      return join(folder, name)
    }
    const passwordFile = await fileOf('password', `${PASSWORD}\n`)
    const wrongFile = await fileOf('wrong-password', WRONG_PASSWORD)
    const clusterTokenFile = await fileOf('cluster-token', CLUSTER_TOKEN)
    const lockTokenFile = await fileOf('lock-token', `${LOCK_TOKEN} operator`)
    const otherTokenFile = await fileOf('other-token', OTHER_TOKEN)

    const user = (file: string) => ({ username: 'robot', passwordFile: file })
    const impatient = { headerTimeout: '300ms', retries: 1 }
    const config = await fileOf(
      'layerlock.toml',
      toml({
        good: { url: registry.url, ...user(passwordFile) },
        wrong: { url: registry.url, ...user(wrongFile) },
        inline: { url: registry.url, username: 'robot', password: PASSWORD },
        dead: { url: 'http://127.0.0.1:1', ...user(passwordFile), ...impatient },
        ...Object.fromEntries(
          FAILURES.map((name) => [name, { url: `${leaky.url}/${name}`, ...user(passwordFile), ...impatient }]),
        ),
        ...Object.fromEntries(
          FAILURES_OF_REQUESTS.map((name) => [
            `passed-${name}`,
            { url: `${leaky.url}/${name}`, auth: 'passthrough', ...impatient },
          ]),
        ),
      }),
    )

    lockServer = parts.use(await startLockServer({ args: ['--token-file', lockTokenFile, '--log-level', 'trace'] }))
    for (const [node, tokenFile] of [
      ['a', lockTokenFile],
      ['b', lockTokenFile],
      ['refused', otherTokenFile],
    ] as const) {
      const args = ['--config', config, '--cluster-token-file', clusterTokenFile, '--lock-server-token-file', tokenFile]
      proxies.push(
        parts.use(
          await startProxy({
            node,
            storeFolder: join(folder, node),
            lockServer: lockServer.url,
            upstreams: {},
            args: [...args, '--log-level', 'trace', '--drain', '1s'],
          }),
        ),
      )
    }
    // The second one learns from the lock server what the first one met; the third one goes on without it.
    await askAll(proxies[0]!, ['HEAD', 'GET'])
    await askAll(proxies[1]!, ['GET'])
    await askAll(proxies[2]!, ['GET'])
  })
  afterAll(() => parts.disposeAsync())

  /** Asks a proxy for everything that fails; what it answers is kept. */
  async function askAll(proxy: ProxyProcess, methods: readonly ('GET' | 'HEAD')[]): Promise<void> {
    const upstreams = [
      'good',
      'wrong',
      'inline',
      'dead',
      ...FAILURES,
      ...FAILURES_OF_REQUESTS.map((name) => `passed-${name}`),
    ]
    const client = Buffer.from(`someone:${CLIENT_PASSWORD}`).toString('base64')
    const asks = upstreams.flatMap((ns) =>
      [
        'manifests/latest',
        `manifests/${digestOf(`manifest of ${ns}`)}`,
        `blobs/${ns === 'good' ? layerDigest : digestOf(`blob of ${ns}`)}`,
        'tags/list',
        `referrers/${DIGEST}`,
      ].map(async (path, index) => {
        const url = `${proxy.url}/v2/library/app/${path}?ns=${ns}`
        const authorization = index % 2 === 0 ? `Bearer ${CLIENT_TOKEN}` : `Basic ${client}`
        for (const method of methods) {
          const { status, headers, body } = await httpGet(url, { method, headers: { authorization }, keepBody: true })
          // What upstream itself gives to whoever may read it is not ours to change.
          const shown = status < 300 ? '' : `${JSON.stringify(headers)} ${String(body)}`
          answers.set(`the answer to ${method} ${url}`, `${status} ${shown}`)
          answers.set(`the record after ${method} ${url}`, await recordsOf(path, ns))
        }
      }),
    )
    const strangers = ['wrong', 'Bearer', OTHER_TOKEN].map(async (token) => {
      const headers = { authorization: `Bearer ${token}` }
      const { body } = await httpGet(`${proxy.peerUrl}/peer/v1/blobs/${DIGEST}`, { headers, keepBody: true })
      answers.set(`the answer of ${proxy.peerUrl} to ${token}`, String(body))
    })
    await Promise.all([...asks, ...strangers])
  }

  /** The lock server's records of what was asked for: it forgets failures soon, so they are read at once. */
  async function recordsOf(path: string, ns: string): Promise<string> {
    const digest = /sha256:\w+$/.exec(path)?.[0]
    const prefix = encodeURIComponent(digest === undefined ? `tag/${ns}/` : `blob/${digest}`)
    const headers = { authorization: `Bearer ${LOCK_TOKEN}` }
    const { body } = await httpGet(`${lockServer.url}/v1/locks?prefix=${prefix}`, { headers, keepBody: true })
    return String(body)
  }

  /** Everything that anybody but the holder of a secret can read. */
  async function readable(): Promise<Map<string, string>> {
    const texts = new Map(answers)
    for (const { pid, stdout, stderr, adminUrl } of proxies) {
      texts.set(`stdout of ${pid}`, stdout.text).set(`stderr of ${pid}`, stderr.text)
      for (const path of ['/v1/status', '/metrics', '/readyz']) {
        const { body } = await httpGet(adminUrl + path, { keepBody: true })
        texts.set(`${path} of ${pid}`, String(body))
      }
    }
    texts.set('stdout of the lock server', lockServer.stdout.text)
    texts.set('stderr of the lock server', lockServer.stderr.text)
    const headers = { authorization: `Bearer ${LOCK_TOKEN}` }
    for (const path of ['/v1/locks?limit=1000', '/v1/nodes', '/metrics']) {
      const { body } = await httpGet(lockServer.url + path, { headers, keepBody: true })
      texts.set(`${path} of the lock server`, String(body))
    }
    return texts
  }

  /** All that must not be seen: what was configured, and whatever upstreams were sent. */
  function secrets(): Map<string, string> {
    const all = new Map<string, string>([
      ['the password', PASSWORD],
      ['the wrong password', WRONG_PASSWORD],
      ['the client’s token', CLIENT_TOKEN],
      ['the client’s password', CLIENT_PASSWORD],
      ['the cluster token', CLUSTER_TOKEN],
      ['the lock server’s token', LOCK_TOKEN],
      ['a wrong token', OTHER_TOKEN],
      ['the registry’s signed URL', 'signature=secret'],
      ...Object.entries(UPSTREAM_SECRETS),
    ])
    for (const header of [...sent, ...leaky.seen]) all.set(`what was sent: ${header}`, header.replace(/^\w+ /, ''))
    return all
  }

  test('are used: upstreams were sent the passwords, tokens and what clients sent', () => {
    const basic = (password: string) => `Basic ${Buffer.from(`robot:${password}`).toString('base64')}`
    expect([...sent]).toEqual(expect.arrayContaining([basic(PASSWORD), basic(WRONG_PASSWORD)]))
    expect([...sent].filter((header) => header.startsWith('Bearer '))).not.toEqual([])
    expect([...leaky.seen]).toEqual(
      expect.arrayContaining([basic(PASSWORD), expect.stringMatching(/^Bearer token-/), `Bearer ${CLIENT_TOKEN}`]),
    )
    expect(registry.requests.countOf({ kind: 'storage' })).toBeGreaterThan(0)
  })

  test('would be found in every form', () => {
    const finds = (text: string) => findSecrets(new Map([['it', PASSWORD]]), new Map([['there', text]])).length
    const forms = [
      PASSWORD,
      JSON.stringify({ a: PASSWORD }),
      JSON.stringify({ a: JSON.stringify({ b: PASSWORD }) }),
      encodeURIComponent(PASSWORD),
      new URLSearchParams({ x: PASSWORD }).toString(),
      Buffer.from(PASSWORD).toString('base64'),
    ]
    expect(forms.map((form) => finds(`some text ${form} and more`))).toEqual(forms.map(() => 1))
    expect(finds('some text')).toBe(0)
  })

  test('are in no log, no answer, no record and no metric, however upstreams and clients fail', async () => {
    const texts = await readable()
    // The refusal that showed a token is among the records.
    const records = [...answers].filter(([place]) => place.startsWith('the record')).map(([, text]) => text)
    expect(records.filter((text) => text.includes('"echo-404 answers 404: '))).not.toEqual([])
    expect(findSecrets(secrets(), texts)).toEqual([])
  })

  test('are not in the last words of a process either', async () => {
    for (const each of [...proxies, lockServer]) {
      each.kill('SIGTERM')
      await each.exited
    }
    const last = new Map([...proxies, lockServer].map(({ pid, stderr }) => [`stderr of ${pid}`, stderr.text]))
    expect(findSecrets(secrets(), last)).toEqual([])
  })
})

function toml(upstreams: Readonly<Record<string, Readonly<Record<string, string | number>>>>): string {
  return Object.entries(upstreams)
    .map(([name, table]) => {
      const lines = Object.entries(table).map(([key, value]) => `${key} = ${JSON.stringify(value)}`)
      return [`[proxy.upstream.${JSON.stringify(name)}]`, ...lines, ''].join('\n')
    })
    .join('\n')
}
