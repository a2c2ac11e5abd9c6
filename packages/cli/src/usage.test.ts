import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createCertificate, temporaryFolder, type TemporaryFolder } from '@layerlock/test-support'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { runProgram } from './program.ts'

let folder: TemporaryFolder

beforeAll(async () => {
  folder = await temporaryFolder('cli')
  await writeFile(join(folder.path, 'empty'), '')
  await writeFile(join(folder.path, 'roles'), 'one\ntwo admin\n')
  await createCertificate(folder.path)
  await mkdir(join(folder.path, 'other'))
  await createCertificate(join(folder.path, 'other'))
  const hash = '$2y$04$MDEyMzQ1Njc4OWFiY2RlZe4lIiCaTDIGf4u2ZPZIh4yyQxXAvAoCK'
  await writeFile(join(folder.path, 'bcrypt'), `ann:${hash}\n`)
  await writeFile(join(folder.path, 'users'), `ann:${hash}\nbob:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n`)
  const upstream = '[proxy.upstream."docker.io"]\nurl = "https://registry-1.docker.io"\npassword = "s3cret"\n'
  await writeFile(join(folder.path, 'upstream.toml'), upstream)
  await writeFile(join(folder.path, 'typo.toml'), '[proxy]\nlistne = "127.0.0.1:0"\n')
})

afterAll(async () => {
  await folder[Symbol.asyncDispose]()
})

afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
  process.exitCode = undefined
})

/** Runs the program in this process, which it must not get as far as to serve anything in. */
async function runHere(line: string) {
  const written = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    vi.spyOn(process[name], 'write').mockImplementation((text) => {
      written[name] += String(text)
      return true
    })
  }
  await runProgram(
    line
      .replaceAll('FOLDER', folder.path)
      .split(' ')
      .filter((arg) => arg !== ''),
  )
  vi.restoreAllMocks()
  return { code: process.exitCode, ...written }
}

/** A proxy's flags that are all right. */
const good = '--store FOLDER/store --upstream docker.io=http://127.0.0.1:1 --listen 127.0.0.1:0'

describe('wrong usage ends with 2 and names what is wrong:', () => {
  test.each([
    ['', 'Usage: layerlock'],
    ['serve', "unknown command 'serve'"],
    ['proxy --nonsense', "unknown option '--nonsense'"],
    ['proxy extra', 'too many arguments'],
    ['proxy --listen', "option '--listen <host:port>' argument missing"],
    ['proxy', 'store: is missing; expected a folder'],
    ['proxy --store FOLDER/store', 'upstream: is missing; expected at least one NAME=URL'],
    [`proxy ${good} --listen 5050`, 'listen: "5050" is not allowed; expected HOST:PORT'],
    [`proxy ${good} --admin-listen x`, 'adminListen: "x" is not allowed; expected HOST:PORT'],
    [`proxy ${good} --upstream nonsense`, 'upstream: "nonsense" is not allowed; expected NAME=URL'],
    [`proxy ${good} --upstream docker.io=http://b`, 'upstream: "docker.io" is not allowed; expected each name once'],
    [`proxy ${good} --upstream ghcr.io=ftp://x`, 'upstream."ghcr.io": "ftp://x" is not allowed; expected an http'],
    ['proxy --upstream docker.io=http://127.0.0.1:1 extra', 'too many arguments'],
    [`proxy ${good} --default-upstream ghcr.io`, 'defaultUpstream: "ghcr.io" is not allowed; expected one of'],
    [`proxy ${good} --tag-ttl 5`, 'tagTtl: "5" is not allowed; expected a duration'],
    [`proxy ${good} --drain 1000h`, 'drain: "1000h" is not allowed; expected a duration'],
    [`proxy ${good} --log-level loud`, 'logLevel: "loud" is not allowed; expected one of trace'],
    [`proxy ${good} --peer-listen 0.0.0.0:0`, 'clusterTokenFile: is missing; expected a token'],
    [
      `proxy ${good} --lock-server http://x --auth passthrough`,
      'clusterTokenFile: is missing; expected a token, because without it everyone who reaches peerListen gets what auth = passthrough of the upstream docker.io keeps back',
    ],
    [
      `proxy ${good} --lock-server http://x --users-file FOLDER/bcrypt`,
      'clusterTokenFile: is missing; expected a token, because without it everyone who reaches peerListen gets what the list of users',
    ],
    [
      `proxy ${good} --lock-server http://x --tls-cert FOLDER/certificate.pem --tls-key FOLDER/key.pem --client-ca FOLDER/certificate.pem`,
      'clusterTokenFile: is missing; expected a token, because without it everyone who reaches peerListen gets what clientCa',
    ],
    [`proxy ${good} --peer-advertise node-1`, 'peerAdvertise: "node-1" is not allowed; expected an http'],
    [`proxy ${good} --cluster-token-file FOLDER/empty`, 'expected a file with at least one token'],
    [`proxy ${good} --cluster-token-file FOLDER/none`, 'ENOENT'],
    [`proxy ${good} --lock-server x`, 'lockServer: "x" is not allowed; expected an http'],
    [
      `proxy ${good} --lock-server http://x --session-ttl 500ms`,
      'sessionTtl: "500ms" is not allowed; expected 1s to 10m',
    ],
    [
      `proxy ${good} --lock-server http://x --lock-timeout 0s`,
      'lockTimeout: "0s" is not allowed; expected more than 0s',
    ],
    [`proxy ${good} --config FOLDER/none.toml`, 'config: '],
    [`proxy ${good} --config FOLDER/typo.toml`, 'proxy.listne: "…" is not allowed; expected one of logLevel'],
    [
      `proxy ${good} --listen 0.0.0.0:5050`,
      'listen: "0.0.0.0:5050" is not allowed; expected a loopback address, or TLS (--tls-cert and --tls-key), or --insecure-listen',
    ],
    [`proxy ${good} --listen [::]:0`, 'listen: "[::]:0" is not allowed; expected a loopback address, or TLS'],
    [`up ${good} --listen 10.0.0.1:0`, 'listen: "10.0.0.1:0" is not allowed; expected a loopback address, or TLS'],
    [`proxy ${good} --tls-cert FOLDER/certificate.pem`, 'tlsKey: is missing; expected a file, because tlsCert'],
    [
      `proxy ${good} --tls-cert FOLDER/none`,
      'tlsKey: is missing; expected a file, because tlsCert is given, which cannot be read either (ENOENT',
    ],
    [`proxy ${good} --client-ca FOLDER/certificate.pem`, 'tlsCert: is missing; expected a file, because clientCa'],
    [
      `proxy ${good} --tls-cert FOLDER/certificate.pem --tls-key FOLDER/key.pem --client-ca FOLDER/key.pem`,
      'key.pem" is not allowed; expected a file with at least one certificate as PEM',
    ],
    [`proxy ${good} --users-file FOLDER/none`, 'none" is not allowed; expected a file that can be read'],
    [`proxy ${good} --users-file FOLDER/empty`, 'expected an htpasswd file with bcrypt hashes (there is no user in it'],
    [
      `proxy ${good} --users-file FOLDER/users`,
      'expected an htpasswd file with bcrypt hashes (line 2: its hash is not one of bcrypt',
    ],
    [
      `proxy ${good} --auth passthrough --users-file FOLDER/bcrypt`,
      'bcrypt" is not allowed; expected none, because clients of docker.io send its own credentials (auth = passthrough)',
    ],
    [`proxy ${good} --auth nobody`, 'auth: "nobody" is not allowed; expected proxy or passthrough'],
    [`proxy ${good} --access-ttl 5`, 'accessTtl: "5" is not allowed; expected a duration'],
    [`proxy ${good} --tag-max-stale 1d`, 'tagMaxStale: "1d" is not allowed; expected a duration'],
    [`proxy ${good} --connect-timeout 0s`, 'connectTimeout: "0s" is not allowed; expected more than 0s'],
    [`proxy ${good} --header-timeout 0s`, 'headerTimeout: "0s" is not allowed; expected more than 0s'],
    [`proxy ${good} --idle-timeout x`, 'idleTimeout: "x" is not allowed; expected a duration'],
    [`proxy ${good} --upstream-ca FOLDER/empty`, 'upstreamCa: '],
    [`proxy ${good} --docker-config FOLDER/none`, 'dockerConfig: '],
    [`proxy ${good} --upstream *=https://x`, 'upstream: "*=https://x" is not allowed; expected NAME=URL'],
    [`proxy ${good} --upstream * --default-upstream *`, 'defaultUpstream: "*" is not allowed; expected one of the'],
    [
      'proxy --store FOLDER/store --config FOLDER/upstream.toml',
      'proxy.upstream."docker.io".username: is missing; expected a user, because password is given',
    ],
    ['server --store paper', 'store: "paper" is not allowed; expected '],
    ['server --store memory --listen 127.0.0.1:99999', 'listen: "127.0.0.1:99999" is not allowed; expected HOST:PORT'],
    ['server --store memory --token-file FOLDER/empty', 'tokenFile: '],
    [
      'server --store memory --token-file FOLDER/roles',
      'roles, line 2: admin" is not allowed; expected the role to be client or operator',
    ],
    ['server --store memory --tls-cert FOLDER/certificate.pem', 'tlsKey: is missing; expected a file, because tlsCert'],
    ['server --store memory --tls-key FOLDER/key.pem', 'tlsCert: is missing; expected a file, because tlsKey'],
    ['server --store memory --tls-cert FOLDER/none --tls-key FOLDER/key.pem', 'tlsCert: '],
    ['server --store memory --tls-cert FOLDER/certificate.pem --tls-key FOLDER/none', 'tlsKey: '],
    ['server --store memory --tls-cert FOLDER/empty --tls-key FOLDER/key.pem', 'expected a certificate as PEM'],
    ['server --store memory --tls-cert FOLDER/certificate.pem --tls-key FOLDER/empty', 'expected a private key as PEM'],
    [
      'server --store memory --tls-cert FOLDER/certificate.pem --tls-key FOLDER/other/key.pem',
      'expected the key of the certificate in tlsCert',
    ],
    ['server --store memory --max-body 1MB', 'maxBody: "1MB" is not allowed; expected a size such as'],
    ['server --store memory --max-value 0', 'maxValue: "0" is not allowed; expected a size such as'],
    [
      'server --store memory --max-body 64KiB --max-value 65537',
      'maxValue: "65537" is not allowed; expected at most maxBody, which is 64KiB',
    ],
    ['server --store memory --max-queue 1e3', 'maxQueue: "1e3" is not allowed; expected a whole number'],
    ['server --store memory --max-keys -1', 'maxKeys: "-1" is not allowed; expected a whole number'],
    ['server --store memory --max-sessions few', 'maxSessions: "few" is not allowed; expected a whole number'],
    ['server --store memory --drain 5', 'drain: "5" is not allowed; expected a duration'],
    ['server --store memory --legacy-hold 5', 'legacyHold: "5" is not allowed; expected a duration'],
    ['server --store memory --legacy-retain 0s', 'legacyRetain: "0s" is not allowed; expected more than 0s'],
    ['server --store memory --legacy-api extra', 'too many arguments'],
    [`up ${good} --server-listen x`, 'serverListen: "x" is not allowed; expected HOST:PORT'],
  ])('layerlock %s', async (line, message) => {
    const { code, stdout, stderr } = await runHere(line)
    expect(stderr).toContain(message)
    expect(stderr).not.toContain('    at ')
    expect(stderr).not.toMatch(/s3cret|5en6G6|MDEyMzQ1/)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  })

  test('a variable of the environment', async () => {
    vi.stubEnv('LAYERLOCK_PEER_LISTEN', 'nowhere')
    const { code, stderr } = await runHere(`proxy ${good}`)
    expect(stderr).toContain('peerListen: "nowhere" is not allowed')
    expect(code).toBe(2)
  })
})

describe('help', () => {
  test.each([
    ['--help', ['server', 'proxy', 'up']],
    ['help', ['server', 'proxy', 'up']],
    ['proxy --help', ['--upstream', 'LAYERLOCK_UPSTREAM', '127.0.0.1:5050', '--users-file', '--insecure-listen']],
    [
      'server --help',
      ['--listen', 'LAYERLOCK_LISTEN', '--token-file', '--tls-cert', '--tls-key', '--max-body', '--max-value'].concat([
        '--max-queue',
        '--max-keys',
        '--max-sessions',
        '--drain',
      ]),
    ],
    ['up --help', ['--server-listen']],
    ['--version', ['0.1.0']],
  ])('layerlock %s ends with 0', async (line, words) => {
    const { code, stdout } = await runHere(line)
    expect(code ?? 0).toBe(0)
    for (const word of words) expect(stdout).toContain(word)
  })
})
