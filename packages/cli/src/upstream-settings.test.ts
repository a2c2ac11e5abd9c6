import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { UpstreamOptions } from '@layerlock/proxy'
import { createCertificate, temporaryFolder, type TemporaryFolder } from '@layerlock/test-support'
import { parse } from 'smol-toml'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Settings } from './settings.ts'
import { readUpstreams } from './upstream-settings.ts'

let folder: TemporaryFolder

beforeAll(async () => {
  folder = await temporaryFolder('upstreams')
  await createCertificate(folder.path)
  await mkdir(join(folder.path, 'other'))
  await createCertificate(join(folder.path, 'other'))
  await writeFile(join(folder.path, 'empty'), '\n')
  await writeFile(join(folder.path, 'secret'), 's3cret\n')
  await writeFile(join(folder.path, 'broken.json'), '{"auths": s3cret')
  await writeFile(join(folder.path, 'config.json'), '{"auths": {}}')
})

afterAll(async () => {
  await folder[Symbol.asyncDispose]()
})

/** Reads the upstreams of a file; `FOLDER` stands for the folder with the files above. */
function read(toml: string, settings: Settings = {}): UpstreamOptions[] {
  const table = parse(toml.replaceAll('FOLDER', folder.path))
  return readUpstreams({ ...settings, upstream: { setting: 'layerlock.toml: proxy.upstream', table } })
}

/** With nothing in it that is not set. */
const plain = (upstreams: UpstreamOptions[]) =>
  JSON.parse(JSON.stringify(upstreams)) as Readonly<Record<string, unknown>>[]

const hub = '["docker.io"]\nurl = "https://registry-1.docker.io"\n'
const internal = '["registry.internal"]\nurl = "http://10.0.0.1:5000"\n'

describe('readUpstreams()', () => {
  test('reads an upstream that is a URL', () => {
    expect(plain(read('"docker.io" = "https://registry-1.docker.io"'))).toEqual([
      { name: 'docker.io', url: 'https://registry-1.docker.io/', auth: 'proxy' },
    ])
  })

  test('reads all keys of a table', () => {
    const upstreams = read(`
      ["registry.example:5000"]
      url = "https://10.0.0.1/mirror"
      auth = "proxy"
      username = "ann"
      password = "s3cret"
      ca = "FOLDER/certificate.pem"
      cert = "FOLDER/certificate.pem"
      key = "FOLDER/key.pem"
      insecure = false
      trustedRealms = ["auth.example", "auth.example:444"]
      connectTimeout = "1s"
      headerTimeout = "2s"
      idleTimeout = "500ms"
      retries = 5
      concurrency = 100
      clusterConcurrency = "8"
      tagPolicy = "ttl"
      tagTtl = "1m"
      tagMaxStale = "0s"`)
    expect(upstreams).toEqual([
      {
        name: 'registry.example:5000',
        url: new URL('https://10.0.0.1/mirror'),
        auth: 'proxy',
        credentials: { kind: 'password', username: 'ann', password: 's3cret' },
        trustedRealms: ['auth.example', 'auth.example:444'],
        tls: {
          ca: expect.stringContaining('BEGIN CERTIFICATE'),
          cert: expect.stringContaining('BEGIN CERTIFICATE'),
          key: expect.stringContaining('PRIVATE KEY'),
          insecure: false,
        },
        timeouts: { connectMs: 1_000, headersMs: 2_000, idleMs: 500 },
        retries: 5,
        concurrency: 100,
        clusterConcurrency: 8,
        tags: { policy: 'ttl', ttlMs: 60_000, maxStaleMs: 0 },
      },
    ])
  })

  test.each([
    [
      'username = "ann"\npasswordFile = "FOLDER/secret"',
      { kind: 'passwordFile', username: 'ann', path: 'FOLDER/secret' },
    ],
    ['tokenFile = "FOLDER/secret"', { kind: 'tokenFile', path: 'FOLDER/secret' }],
    ['dockerConfig = "FOLDER/config.json"', { kind: 'dockerConfig', path: 'FOLDER/config.json' }],
    ['credentialHelper = "ecr-login"', { kind: 'helper', name: 'ecr-login' }],
  ])('reads the credentials %j', (toml, credentials) => {
    const [upstream] = read(hub + toml)
    expect(JSON.parse(JSON.stringify(upstream!.credentials).replaceAll(folder.path, 'FOLDER'))).toEqual(credentials)
  })

  test('reads * without a URL, and what it may have', () => {
    const any = '["*"]\ndockerConfig = "FOLDER/config.json"\ntagPolicy = "pin"\nidleTimeout = "1m"'
    expect(plain(read(any))).toEqual([
      {
        name: '*',
        auth: 'proxy',
        credentials: { kind: 'dockerConfig', path: join(folder.path, 'config.json') },
        timeouts: { idleMs: 60_000 },
        tags: { policy: 'pin' },
      },
    ])
    expect(plain(read('["*"]'))).toEqual([{ name: '*', auth: 'proxy' }])
  })

  test('reads a list of texts, such as flags are', () => {
    const upstream = ['docker.io=https://a', '* ghcr.io=https://b,quay.io=https://c']
    expect(readUpstreams({ upstream }).map(({ name }) => name)).toEqual(['docker.io', '*', 'ghcr.io', 'quay.io'])
  })

  test('gives upstreams what is set for all, where they have nothing of their own', () => {
    const dockerConfig = join(folder.path, 'config.json')
    const upstreamCa = join(folder.path, 'certificate.pem')
    const toml = `${hub}
      ["ghcr.io"]
      url = "https://ghcr.io"
      username = "ann"
      password = "x"
      ca = "FOLDER/other/certificate.pem"
      ["quay.io"]
      url = "https://quay.io"
      auth = "passthrough"
      ["localhost:5000"]
      url = "http://[::1]:5000"`
    const [docker, ghcr, quay, local] = read(toml, { dockerConfig, upstreamCa })
    expect(docker!.credentials).toEqual({ kind: 'dockerConfig', path: dockerConfig })
    expect(ghcr!.credentials).toMatchObject({ kind: 'password' })
    expect(quay).toMatchObject({ auth: 'passthrough', credentials: undefined })
    expect(local).toMatchObject({ credentials: { kind: 'dockerConfig' }, tls: undefined })
    expect(docker!.tls!.ca).toBe(quay!.tls!.ca)
    expect(ghcr!.tls!.ca).not.toBe(docker!.tls!.ca)
  })

  test('takes auth for all as the default of each', () => {
    const auths = read(`${hub}auth = "proxy"\n["ghcr.io"]\nurl = "https://ghcr.io"`, { auth: 'passthrough' })
    expect(auths.map(({ auth }) => auth)).toEqual(['proxy', 'passthrough'])
  })

  test('lets credentials go over http where it was said so', () => {
    const toml = `${internal}insecure = true\nusername = "ann"\npassword = "x"`
    expect(plain(read(toml))).toMatchObject([{ tls: { insecure: true }, credentials: { kind: 'password' } }])
    expect(plain(read(internal))).toMatchObject([{ url: 'http://10.0.0.1:5000/' }])
  })
})

describe('the file is refused, with the key’s whole name, and shows no secret:', () => {
  test.each([
    ['', 'upstream: is missing; expected at least one NAME=URL'],
    ['"docker.io" = 5', 'proxy.upstream."docker.io": "…" is not allowed; expected a table'],
    ['"docker.io" = ["s3cret"]', 'proxy.upstream."docker.io": "…" is not allowed; expected a table'],
    [
      '"docker.io" = "registry"',
      'proxy.upstream."docker.io".url: "registry" is not allowed; expected an http or https',
    ],
    ['"docker.io" = "https://u:s3cret@x"', '."docker.io".url: "…@x" is not allowed; expected an http or https URL'],
    ['"Docker.io" = "https://x"', 'proxy.upstream: "Docker.io" is not allowed; expected a registry’s host'],
    ['"a b".url = "https://x"', 'proxy.upstream: "a b" is not allowed; expected a registry’s host'],
    ['["docker.io"]', '."docker.io".url: is missing; expected an http or https URL'],
    ['[quay]\nurl = 5', 'proxy.upstream.quay.url: 5 is not allowed; expected an http or https URL'],
    [`${hub}passwrod = "s3cret"`, '."docker.io".passwrod: "…" is not allowed; expected one of url, auth, username'],
    [`${hub}__proto__ = "s3cret"`, '."docker.io".__proto__: "…" is not allowed; expected one of url'],
    [`${hub}auth = "none"`, '."docker.io".auth: "none" is not allowed; expected proxy or passthrough'],
    [`${hub}username = ""\npassword = "x"`, '."docker.io".username: "" is not allowed; expected a string'],
    [`${hub}username = "u"\npassword = 123456`, '."docker.io".password: "…" is not allowed; expected a string'],
    [`${hub}username = "u"\npassword = ""`, '."docker.io".password: "…" is not allowed; expected a string'],
    [`${hub}password = "s3cret"`, '."docker.io".username: is missing; expected a user, because password is given'],
    [`${hub}passwordFile = "FOLDER/secret"`, '.username: is missing; expected a user, because passwordFile is given'],
    [`${hub}username = "ann"`, '.username: "ann" is not allowed; expected password or passwordFile with it'],
    [
      `${hub}username = "u"\npasswordFile = "FOLDER/none"`,
      'passwordFile: "FOLDER/none" is not allowed; expected a file',
    ],
    [
      `${hub}username = "u"\npasswordFile = "FOLDER/empty"`,
      'passwordFile: "FOLDER/empty" is not allowed; expected a file',
    ],
    [`${hub}tokenFile = "FOLDER"`, 'tokenFile: "FOLDER" is not allowed; expected a file that can be read (EISDIR'],
    [`${hub}dockerConfig = "FOLDER/broken.json"`, 'dockerConfig: "FOLDER/broken.json" is not allowed; expected a JSON'],
    [`${hub}dockerConfig = "FOLDER/none"`, 'dockerConfig: "FOLDER/none" is not allowed; expected a file that can be'],
    [`${hub}credentialHelper = "../evil"`, 'credentialHelper: "../evil" is not allowed; expected what stands after'],
    [
      `${hub}username = "u"\npassword = "s3cret"\ntokenFile = "FOLDER/secret"`,
      'tokenFile: "…" is not allowed; expected one kind',
    ],
    [
      `${hub}dockerConfig = "FOLDER/config.json"\ncredentialHelper = "x"`,
      'expected one kind of credentials, and there is docker',
    ],
    [
      `${hub}auth = "passthrough"\ntokenFile = "FOLDER/secret"`,
      '."docker.io".auth: "passthrough" is not allowed; expected proxy',
    ],
    [
      `${internal}username = "u"\npassword = "s3cret"`,
      '.url: "http://10.0.0.1:5000/" is not allowed; expected https, or insecure',
    ],
    [`${internal}auth = "passthrough"`, '.url: "http://10.0.0.1:5000/" is not allowed; expected https, or insecure'],
    [
      `${internal}ca = "FOLDER/certificate.pem"`,
      '.ca: "…" is not allowed; expected nothing, because the url is not https',
    ],
    [`${internal}cert = "x"`, '.cert: "x" is not allowed; expected nothing, because the url is not https'],
    [`${hub}ca = "FOLDER/none"`, '.ca: "FOLDER/none" is not allowed; expected a file that can be read'],
    [
      `${hub}ca = "FOLDER/key.pem"`,
      '.ca: "FOLDER/key.pem" is not allowed; expected a file with at least one certificate',
    ],
    [`${hub}cert = "FOLDER/certificate.pem"`, '."docker.io".key: is missing; expected a file, because layerlock.toml'],
    [`${hub}key = "FOLDER/key.pem"`, '."docker.io".cert: is missing; expected a file, because layerlock.toml'],
    [
      `${hub}cert = "FOLDER/secret"\nkey = "FOLDER/key.pem"`,
      '.cert: "FOLDER/secret" is not allowed; expected a certificate as',
    ],
    [
      `${hub}cert = "FOLDER/certificate.pem"\nkey = "FOLDER/secret"`,
      '.key: "FOLDER/secret" is not allowed; expected a private key',
    ],
    [
      `${hub}cert = "FOLDER/certificate.pem"\nkey = "FOLDER/other/key.pem"`,
      'expected the key of the certificate in layerlock',
    ],
    [`${hub}insecure = "yes"`, '.insecure: "yes" is not allowed; expected true or false'],
    [`${hub}trustedRealms = "auth.example"`, '.trustedRealms: "auth.example" is not allowed; expected a list of hosts'],
    [`${hub}trustedRealms = ["https://x"]`, '.trustedRealms: "https://x" is not allowed; expected a list of hosts'],
    [`${hub}trustedRealms = [1]`, '.trustedRealms: "1" is not allowed; expected a list of hosts'],
    [`${hub}connectTimeout = "0s"`, '.connectTimeout: "0s" is not allowed; expected more than 0s'],
    [`${hub}headerTimeout = 30`, '.headerTimeout: 30 is not allowed; expected a string'],
    [`${hub}idleTimeout = "30"`, '.idleTimeout: "30" is not allowed; expected a duration'],
    [`${hub}retries = 0`, '.retries: "0" is not allowed; expected a whole number, at least 1'],
    [`${hub}concurrency = 1.5`, '.concurrency: "1.5" is not allowed; expected a whole number'],
    [`${hub}clusterConcurrency = true`, '.clusterConcurrency: true is not allowed; expected a whole number'],
    [`${hub}tagPolicy = "never"`, '.tagPolicy: "never" is not allowed; expected ttl or always or pin'],
    [
      `${hub}tagPolicy = "pin"\ntagTtl = "1s"`,
      '.tagPolicy: "pin" is not allowed; expected ttl, because tagTtl is given',
    ],
    [`${hub}tagTtl = "1"`, '.tagTtl: "1" is not allowed; expected a duration'],
    [`${hub}tagMaxStale = false`, '.tagMaxStale: false is not allowed; expected a string'],
    ['"*" = "https://x"', 'proxy.upstream."*".url: "https://x/" is not allowed; expected nothing for *'],
    ['["*"]\nurl = "http://x"', 'proxy.upstream."*".url: "http://x/" is not allowed; expected nothing for *'],
    ['["*"]\ninsecure = true', 'proxy.upstream."*".insecure: true is not allowed; expected nothing for *'],
    ['["*"]\nusername = "u"\npassword = "s3cret"', '."*".password: "…" is not allowed; expected dockerConfig or'],
    ['["*"]\ntokenFile = "FOLDER/secret"', '."*".tokenFile: "…" is not allowed; expected dockerConfig or'],
  ])('%j', (toml, message) => {
    const thrown = { name: 'UsageError', message: expect.stringContaining(message.replaceAll('FOLDER', folder.path)) }
    expect(() => read(toml)).toThrow(expect.objectContaining(thrown))
    expect(() => read(toml)).toThrow(expect.objectContaining({ message: expect.not.stringContaining('s3cret') }))
  })
})

describe('what is set for all is refused:', () => {
  test.each([
    [{ auth: 'none' }, 'auth: "none" is not allowed; expected proxy or passthrough'],
    [{ dockerConfig: 'FOLDER/none' }, 'dockerConfig: "FOLDER/none" is not allowed; expected a file that can be read'],
    [{ dockerConfig: 'FOLDER/broken.json' }, 'dockerConfig: "FOLDER/broken.json" is not allowed; expected a JSON file'],
    [
      { dockerConfig: 'FOLDER/config.json', auth: 'passthrough' },
      'config.json" is not allowed; expected nothing, because all upstreams have auth = passthrough',
    ],
    [
      { upstreamCa: 'FOLDER/key.pem' },
      'upstreamCa: "FOLDER/key.pem" is not allowed; expected a file with at least one',
    ],
    [
      { upstream: ['a=http://10.0.0.1'], dockerConfig: 'FOLDER/config.json' },
      'upstream.a.url: "http://10.0.0.1/" is not allowed; expected https, or insecure = true in its table',
    ],
    [{ upstream: ['a=http://a'], auth: 'passthrough' }, 'upstream.a.url: "http://a/" is not allowed; expected https'],
    [{ upstream: ['a=https://a', 'a=https://b'] }, 'upstream: "a" is not allowed; expected each name once'],
  ])('%j', (given, message) => {
    const inFolder = (text: string) => text.replaceAll('FOLDER', folder.path)
    const settings = JSON.parse(inFolder(JSON.stringify({ upstream: ['docker.io=https://x'], ...given }))) as Settings
    expect(() => readUpstreams(settings)).toThrow(inFolder(message))
  })
})
