import { ANY_UPSTREAM, type CredentialOptions, type UpstreamOptions, type UpstreamTls } from '@layerlock/proxy'
import { keyIn } from './key-in.ts'
import {
  certificates,
  count,
  duration,
  file,
  hosts,
  httpUrl,
  jsonFile,
  oneOf,
  positiveDuration,
  programSuffix,
  readTable,
  secret,
  type TableOf,
  text,
  yesOrNo,
} from './table-reader.ts'
import { readKeyPair } from './tls-files.ts'
import { HIDDEN, UsageError } from './usage-error.ts'
import { isHost } from './values.ts'

const READERS = {
  url: httpUrl,
  auth: oneOf('proxy', 'passthrough'),
  username: text,
  password: secret,
  passwordFile: file,
  tokenFile: file,
  dockerConfig: jsonFile,
  credentialHelper: programSuffix,
  ca: certificates,
  cert: text,
  key: text,
  insecure: yesOrNo,
  trustedRealms: hosts,
  connectTimeout: positiveDuration,
  headerTimeout: positiveDuration,
  idleTimeout: positiveDuration,
  retries: count,
  concurrency: count,
  clusterConcurrency: count,
  tagPolicy: oneOf('ttl', 'always', 'pin'),
  tagTtl: duration,
  tagMaxStale: duration,
}

type UpstreamTable = TableOf<typeof READERS>

/** Credentials come by one of these. */
const CREDENTIAL_KEYS = ['password', 'passwordFile', 'tokenFile', 'dockerConfig', 'credentialHelper'] as const
/** The same for whoever is asked: with `*` anybody could ask for them to be sent anywhere. */
const FIXED_CREDENTIALS: ReadonlySet<string> = new Set(['password', 'passwordFile', 'tokenFile'])

/**
 * Reads an upstream of the file, which is its URL or a table.
 *
 * @param setting where the upstreams stand, such as `layerlock.toml: proxy.upstream`
 * @throws {UsageError}
 */
export function readUpstream(setting: string, name: string, value: unknown): UpstreamOptions {
  const at = keyIn(setting, name)
  if (name !== ANY_UPSTREAM && !isHost(name)) {
    throw new UsageError(setting, name, 'a registry’s host, such as docker.io or localhost:5000, or *')
  }
  const table = readTable(at, typeof value === 'string' ? { url: value } : value, READERS)
  if (name === ANY_UPSTREAM) {
    // Each host says its own, and is spoken to by https.
    refuse(at, table, ['url', 'insecure'], 'nothing for *, which is each registry at its own address by https')
  } else if (table.url === undefined) {
    throw new UsageError(`${at}.url`, undefined, 'an http or https URL')
  }
  return {
    name,
    ...(table.url === undefined ? {} : { url: table.url }),
    auth: table.auth,
    credentials: readCredentials(at, name, table),
    trustedRealms: table.trustedRealms,
    tls: readUpstreamTls(at, table),
    timeouts: present({
      connectMs: table.connectTimeout,
      headersMs: table.headerTimeout,
      idleMs: table.idleTimeout,
    }),
    retries: table.retries,
    concurrency: table.concurrency,
    clusterConcurrency: table.clusterConcurrency,
    tags: readTags(at, table),
  }
}

function readCredentials(at: string, name: string, table: UpstreamTable): CredentialOptions | undefined {
  const [kind, other] = CREDENTIAL_KEYS.filter((key) => table[key] !== undefined)
  if (kind !== undefined && other !== undefined) {
    throw new UsageError(`${at}.${other}`, HIDDEN, `one kind of credentials, and there is ${kind}`)
  }
  const needsUser = kind === 'password' || kind === 'passwordFile'
  if (needsUser && table.username === undefined) {
    throw new UsageError(`${at}.username`, undefined, `a user, because ${kind} is given`)
  }
  if (!needsUser && table.username !== undefined) {
    throw new UsageError(`${at}.username`, table.username, 'password or passwordFile with it')
  }
  if (kind === undefined) return undefined
  if (name === ANY_UPSTREAM && FIXED_CREDENTIALS.has(kind)) {
    throw new UsageError(
      `${at}.${kind}`,
      HIDDEN,
      'dockerConfig or credentialHelper, which know whose credentials they have',
    )
  }
  switch (kind) {
    case 'password':
      return { kind, username: table.username!, password: table.password! }
    case 'passwordFile':
      return { kind, username: table.username!, path: table.passwordFile! }
    case 'tokenFile':
      return { kind, path: table.tokenFile! }
    case 'dockerConfig':
      return { kind, path: table.dockerConfig! }
    case 'credentialHelper':
      return { kind: 'helper', name: table.credentialHelper! }
  }
}

function readUpstreamTls(at: string, table: UpstreamTable): UpstreamTls | undefined {
  if (table.url?.protocol === 'http:') refuse(at, table, ['ca', 'cert', 'key'], 'nothing, because the url is not https')
  const pair = readKeyPair({ setting: `${at}.cert`, path: table.cert }, { setting: `${at}.key`, path: table.key })
  if (table.ca === undefined && table.insecure === undefined && pair === undefined) return undefined
  return { ca: table.ca, insecure: table.insecure, ...pair }
}

function readTags(at: string, { tagPolicy, tagTtl, tagMaxStale }: UpstreamTable): UpstreamOptions['tags'] {
  if (tagTtl !== undefined && tagPolicy !== undefined && tagPolicy !== 'ttl') {
    throw new UsageError(`${at}.tagPolicy`, tagPolicy, 'ttl, because tagTtl is given')
  }
  if (tagPolicy === undefined && tagTtl === undefined && tagMaxStale === undefined) return undefined
  return { policy: tagPolicy, ttlMs: tagTtl, maxStaleMs: tagMaxStale }
}

function refuse(at: string, table: UpstreamTable, keys: readonly (keyof UpstreamTable)[], allowed: string): void {
  const given = keys.find((key) => table[key] !== undefined)
  if (given === undefined) return
  const value = table[given]
  throw new UsageError(`${at}.${given}`, value instanceof URL ? value.href : given === 'ca' ? HIDDEN : value, allowed)
}

/** The values that there are; undefined when there is none. */
function present<T extends object>(values: T): { [Key in keyof T]?: NonNullable<T[Key]> } | undefined {
  const entries = Object.entries(values).filter(([, value]) => value !== undefined)
  if (entries.length === 0) return undefined
  return Object.fromEntries(entries) as { [Key in keyof T]?: NonNullable<T[Key]> }
}
