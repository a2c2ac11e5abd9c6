import { OciError } from '../../oci/oci-error.ts'
import { readCapped } from './secret-file.ts'
import type { CredentialHelpers } from './credential-helper.ts'
import type { Credentials, CredentialRequest, CredentialSource } from './credential-source.ts'
import { canonicalKey, helperServer } from './server-names.ts'

const MAX_CONFIG_BYTES = 1024 * 1024

/** The parts of a `config.json` that say who logs in. */
interface DockerConfig {
  readonly auths: ReadonlyMap<string, Readonly<Record<string, unknown>>>
  readonly credHelpers: ReadonlyMap<string, string>
  readonly credsStore: string | undefined
}

export interface DockerConfigCredentialsOptions {
  readonly path: string
  /** The registry's names, the best one first; see `serverNames()`. */
  readonly servers: readonly string[]
  readonly helpers: CredentialHelpers
}

/**
 * The credentials in Docker's `config.json` or containers' `auth.json`. As Docker does, a helper for the registry goes
 * before the store for all, and that before what stands in the file itself. Of the entries of a file that for the
 * longest part of the repository's name counts.
 */
export class DockerConfigCredentials implements CredentialSource {
  readonly #options: DockerConfigCredentialsOptions

  constructor(options: DockerConfigCredentialsOptions) {
    this.#options = options
  }

  async get({ repository, fresh, signal }: CredentialRequest): Promise<Credentials | undefined> {
    const { path, servers, helpers } = this.#options
    const { auths, credHelpers, credsStore } = parseConfig(await readCapped(path, MAX_CONFIG_BYTES, signal), path)
    for (const server of servers) {
      const helper = credHelpers.get(server)
      if (helper !== undefined) return helpers.get(helper, helperServer(server), { fresh, signal })
    }
    if (credsStore !== undefined) {
      const stored = await helpers.get(credsStore, helperServer(servers[0]!), { fresh, signal })
      if (stored !== undefined) return stored
    }
    for (const key of servers.flatMap((server) => keysOf(server, repository))) {
      const entry = auths.get(key)
      const credentials = entry === undefined ? undefined : credentialsOf(entry, path, key)
      if (credentials !== undefined) return credentials
    }
    return undefined
  }
}

/** `host/a/b`, `host/a`, `host`. */
function keysOf(server: string, repository = ''): string[] {
  const segments = [server, ...repository.split('/').filter((segment) => segment !== '')]
  return segments.map((_, index) => segments.slice(0, segments.length - index).join('/'))
}

function credentialsOf(entry: Readonly<Record<string, unknown>>, path: string, key: string): Credentials | undefined {
  const login = loginOf(entry, path, key)
  const token = entry['identitytoken']
  if (typeof token === 'string' && token !== '') {
    const username = login?.username === '' ? undefined : login?.username
    return { kind: 'identityToken', token, username }
  }
  return login === undefined || login.password === '' ? undefined : { kind: 'basic', ...login }
}

function loginOf({ auth, username, password }: Readonly<Record<string, unknown>>, path: string, key: string) {
  if (typeof auth === 'string' && auth !== '') {
    const decoded = Buffer.from(auth, 'base64').toString()
    const colon = decoded.indexOf(':')
    if (colon < 1) throw new OciError('UNKNOWN', `${path}: the auth of ${key} is not user:password in base64`)
    // Docker itself pads with NUL.
    return { username: decoded.slice(0, colon), password: decoded.slice(colon + 1).replace(/\0+$/, '') }
  }
  return typeof username === 'string' && typeof password === 'string' ? { username, password } : undefined
}

function parseConfig(text: string, path: string): DockerConfig {
  let config: unknown
  try {
    config = JSON.parse(text)
  } catch {
    // Without the parser's message as the cause: it shows a part of the text.
    throw new OciError('UNKNOWN', `${path} is no JSON`)
  }
  if (!isRecord(config)) throw new OciError('UNKNOWN', `${path} holds no object`)
  const { credsStore } = config
  const auths = entriesOf(config['auths'], isRecord, `${path}: auths`)
  const credHelpers = entriesOf(config['credHelpers'], isString, `${path}: credHelpers`)
  if (credsStore !== undefined && !isString(credsStore)) throw new OciError('UNKNOWN', `${path}: credsStore is no name`)
  return { auths, credHelpers, credsStore: credsStore === '' ? undefined : credsStore }
}

/** By canonical keys. Where two come to the same, the first one counts, as in Docker. */
function entriesOf<T>(value: unknown, isRight: (entry: unknown) => entry is T, what: string): Map<string, T> {
  if (value !== undefined && !isRecord(value)) throw new OciError('UNKNOWN', `${what} is no object`)
  const entries = new Map<string, T>()
  for (const [key, entry] of Object.entries(value ?? {})) {
    if (!isRight(entry)) throw new OciError('UNKNOWN', `${what} has something at ${key} that does not belong there`)
    const canonical = canonicalKey(key)
    if (!entries.has(canonical)) entries.set(canonical, entry)
  }
  return entries
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isString(value: unknown): value is string {
  return typeof value === 'string'
}
