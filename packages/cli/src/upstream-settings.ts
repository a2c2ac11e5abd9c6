import type { CredentialOptions, UpstreamOptions } from '@layerlock/proxy'
import { keyIn } from './key-in.ts'
import { isLoopback } from './loopback.ts'
import { optional, type Settings } from './settings.ts'
import { jsonFile } from './table-reader.ts'
import { readCertificates } from './tls-files.ts'
import { readUpstream } from './upstream-table.ts'
import { UsageError } from './usage-error.ts'
import { parseUpstream } from './values.ts'

/**
 * Reads the upstreams, with what the settings say for all of them: `auth`, `dockerConfig`, `upstreamCa`. An upstream's own
 * goes before that.
 *
 * @throws {UsageError}
 */
export function readUpstreams(settings: Settings): UpstreamOptions[] {
  const defaults = readDefaults(settings)
  const upstreams = listed(settings).map(({ at, upstream }) => ({ at, upstream: complete(upstream, defaults) }))
  if (upstreams.length === 0) throw new UsageError('upstream', undefined, 'at least one NAME=URL')
  for (const { at, upstream } of upstreams) checkCredentials(at, upstream)
  if (defaults.credentials !== undefined && upstreams.every(({ upstream }) => upstream.auth === 'passthrough')) {
    throw new UsageError(
      'dockerConfig',
      defaults.credentials.path,
      'nothing, because all upstreams have auth = passthrough',
    )
  }
  return upstreams.map(({ upstream }) => upstream)
}

interface Defaults {
  readonly auth: 'proxy' | 'passthrough'
  readonly credentials: (CredentialOptions & { readonly kind: 'dockerConfig' }) | undefined
  readonly ca: string | undefined
}

function readDefaults(settings: Settings): Defaults {
  const auth = optional(settings, 'auth') ?? 'proxy'
  if (auth !== 'proxy' && auth !== 'passthrough') throw new UsageError('auth', auth, 'proxy or passthrough')
  const dockerConfig = optional(settings, 'dockerConfig')
  const ca = optional(settings, 'upstreamCa')
  return {
    auth,
    credentials:
      dockerConfig === undefined ? undefined : { kind: 'dockerConfig', path: jsonFile('dockerConfig', dockerConfig) },
    ca: ca === undefined ? undefined : readCertificates('upstreamCa', ca),
  }
}

interface Listed {
  /** Where it stands. */
  readonly at: string
  readonly upstream: UpstreamOptions
}

/** The upstreams as they are given: in the file's table, or one text each. */
function listed(settings: Settings): Listed[] {
  const given = settings['upstream']
  if (typeof given === 'object' && 'table' in given) {
    return Object.entries(given.table).map(([name, value]) => ({
      at: keyIn(given.setting, name),
      upstream: readUpstream(given.setting, name, value),
    }))
  }
  // From the environment all come as one text.
  const texts = [given ?? []].flat().flatMap((text) => text.split(/[\s,]+/))
  const upstreams = texts.filter((text) => text !== '').map((text) => parseUpstream('upstream', text))
  const twice = upstreams.find(({ name }, index) => upstreams.findIndex((other) => other.name === name) !== index)
  if (twice !== undefined) throw new UsageError('upstream', twice.name, 'each name once')
  return upstreams.map((upstream) => ({ at: keyIn('upstream', upstream.name), upstream }))
}

function complete(upstream: UpstreamOptions, { auth: defaultAuth, credentials, ca }: Defaults): UpstreamOptions {
  const auth = upstream.auth ?? defaultAuth
  const isHttp = upstream.url?.protocol === 'http:'
  return {
    ...upstream,
    auth,
    credentials: upstream.credentials ?? (auth === 'proxy' ? credentials : undefined),
    tls: ca === undefined || isHttp || upstream.tls?.ca !== undefined ? upstream.tls : { ...upstream.tls, ca },
  }
}

/** Credentials that would never be used, or that everybody on the way could read, are a mistake. */
function checkCredentials(at: string, { auth, credentials, url, tls }: UpstreamOptions): void {
  if (auth === 'passthrough' && credentials !== undefined) {
    throw new UsageError(`${at}.auth`, auth, 'proxy, because it has credentials of its own')
  }
  const isExposed = url?.protocol === 'http:' && !isLoopback(url.hostname) && tls?.insecure !== true
  if (isExposed && (auth === 'passthrough' || credentials !== undefined)) {
    const what = credentials === undefined ? 'those of clients (auth = passthrough)' : credentials.kind
    throw new UsageError(
      `${at}.url`,
      url.href,
      `https, or insecure = true in its table, because credentials go there: ${what}`,
    )
  }
}
