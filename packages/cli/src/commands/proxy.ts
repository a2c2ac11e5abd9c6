import { hostname } from 'node:os'
import {
  ANY_UPSTREAM,
  type LockServerOptions,
  type ProxyOptions,
  PullProxy,
  readersAreLimitedBy,
  type UpstreamOptions,
} from '@layerlock/proxy'
import type { Command } from 'commander'
import { checkExposure } from '../exposure.ts'
import { ensureFolder } from '../folder.ts'
import { type CliLogger, createLogger } from '../logger.ts'
import { isLoopback } from '../loopback.ts'
import { repeatable } from '../repeatable.ts'
import { type Rereadable, rereadAll } from '../reread.ts'
import { serve, type Service } from '../serve.ts'
import { optional, required, type Settings, settingsOf } from '../settings.ts'
import { readProxyTls } from '../tls-files.ts'
import { readTokens } from '../token-file.ts'
import { readUpstreams } from '../upstream-settings.ts'
import { UsageError } from '../usage-error.ts'
import { readUsers } from '../users-file.ts'
import { isHost, parseAddress, parseDuration, parseHttpUrl, parsePositiveDuration } from '../values.ts'
import { createCommand, flag } from './common-options.ts'

/** Adds the flags that say how a proxy pulls; `layerlock up` has them too. */
export function addPullFlags(command: Command): Command {
  return command
    .addOption(flag('--listen <host:port>', 'where container clients connect; port 0 takes any', '127.0.0.1:5050'))
    .addOption(flag('--store <dir>', 'the folder of the blobs (required)'))
    .addOption(
      repeatable(
        flag(
          '--upstream <name=url>',
          'a registry that may be pulled from, or * for all that are public; may be repeated (required)',
        ),
      ),
    )
    .addOption(flag('--default-upstream <name>', 'the upstream of requests that name none'))
    .addOption(flag('--node <name>', 'what this node is called (default: the host name)'))
    .addOption(flag('--admin-listen <host:port>', 'where to serve /healthz, /readyz, /metrics and /v1/status'))
    .addOption(flag('--tag-ttl <duration>', 'how long the digest of a tag is taken as known', '10s'))
    .addOption(flag('--tag-max-stale <duration>', 'how long the last one is served when upstream fails', '24h'))
    .addOption(flag('--drain <duration>', 'how long clients may take to finish when the proxy stops', '30s'))
    .addOption(flag('--tls-cert <file>', 'serve clients by https with this certificate (PEM); read again on SIGHUP'))
    .addOption(flag('--tls-key <file>', 'the key of the certificate (PEM)'))
    .addOption(flag('--client-ca <file>', 'let in only clients with a certificate that one of these (PEM) has signed'))
    .addOption(flag('--users-file <file>', 'let in only these users: htpasswd with bcrypt; read again on SIGHUP'))
    .addOption(flag('--insecure-listen', 'listen on any address without TLS'))
    .addOption(
      flag(
        '--auth <kind>',
        'whose credentials go upstream: proxy (its own) or passthrough (those of clients)',
        'proxy',
      ),
    )
    .addOption(flag('--access-ttl <duration>', 'how long a client that upstream has accepted is let in', '60s'))
    .addOption(flag('--docker-config <file>', 'credentials for upstreams that have none of their own'))
    .addOption(flag('--upstream-ca <file>', 'certificates (PEM) that are trusted upstream besides the usual ones'))
    .addOption(flag('--connect-timeout <duration>', 'how long an upstream may take to connect', '10s'))
    .addOption(flag('--header-timeout <duration>', 'how long it may take to begin its answer', '30s'))
    .addOption(flag('--idle-timeout <duration>', 'how long it may be silent in the middle of one', '30s'))
}

/** `layerlock proxy`: a pull proxy. */
export function proxyCommand(): Command {
  return addPullFlags(createCommand('proxy', 'runs the pull proxy of a node'))
    .addOption(flag('--lock-server <url>', 'the lock server; without it this is a pull-through cache for one node'))
    .addOption(flag('--lock-server-token-file <file>', 'the bearer token for the lock server'))
    .addOption(flag('--lock-timeout <duration>', 'after which a pull goes on without the lock server', '2s'))
    .addOption(flag('--session-ttl <duration>', 'after which a node that says nothing has gone: 1s to 10m', '10s'))
    .addOption(
      flag('--peer-listen <host:port>', 'where other nodes connect; any but loopback needs a token', '127.0.0.1:0'),
    )
    .addOption(flag('--peer-advertise <url>', 'how other nodes reach it, where that is not plain from --peer-listen'))
    .addOption(flag('--cluster-token-file <file>', 'a token that all nodes of the cluster share'))
    .action(async (_options: unknown, command: Command) => {
      const settings = settingsOf(command)
      const logger = createLogger(required(settings, 'logLevel', 'a level'))
      const options = readClusterOptions(settings, readProxyOptions(settings))
      await serve(async (running) => [running.use(await startProxy(settings, options, logger))], logger)
    })
}

/** Starts a proxy. @param settings say which files are read again */
export async function startProxy(settings: Settings, options: ProxyOptions, logger: CliLogger): Promise<Service> {
  ensureFolder('store', options.store)
  const proxy = await PullProxy.start(options, logger.child({ part: 'proxy' }))
  const files: Rereadable[] = []
  if (options.tls !== undefined) files.push(certificateOf(proxy, settings))
  if (options.users !== undefined) files.push(usersOf(proxy, settings))
  return {
    urls: { ...proxy.urls },
    reread: files.length === 0 ? undefined : () => rereadAll(files, logger),
    [Symbol.asyncDispose]: () => proxy[Symbol.asyncDispose](),
  }
}

function certificateOf(proxy: PullProxy, settings: Settings): Rereadable {
  const reread = () => {
    proxy.replaceTls(readProxyTls(settings)!)
    return {}
  }
  return { what: 'certificate', otherwise: 'the one before stays', reread }
}

function usersOf(proxy: PullProxy, settings: Settings): Rereadable {
  const reread = () => {
    proxy.replaceUsers(readUsers(settings)!)
    return {}
  }
  return { what: 'users', otherwise: 'those before stay', reread }
}

/** What the settings say of a proxy on its own. Starts nothing. @throws {UsageError} */
export function readProxyOptions(settings: Settings): ProxyOptions {
  const store = required(settings, 'store', 'a folder')
  const upstreams = readUpstreams(settings)
  const adminListen = optional(settings, 'adminListen')
  const listen = parseAddress('listen', required(settings, 'listen', 'HOST:PORT'))
  const tls = readProxyTls(settings)
  checkExposure(settings, listen.host, tls !== undefined)
  const durationOf = (name: string) => parseDuration(name, required(settings, name, 'a duration'))
  const timeoutOf = (name: string) => parsePositiveDuration(name, required(settings, name, 'a duration'))
  return {
    node: optional(settings, 'node') ?? hostname(),
    listen,
    tls,
    users: usersBeside(settings, upstreams),
    store,
    upstreams,
    defaultUpstream: readDefaultUpstream(settings, upstreams),
    peerListen: { host: '127.0.0.1', port: 0 },
    adminListen: adminListen === undefined ? undefined : parseAddress('adminListen', adminListen),
    tagTtlMs: durationOf('tagTtl'),
    tagMaxStaleMs: durationOf('tagMaxStale'),
    accessTtlMs: durationOf('accessTtl'),
    timeouts: {
      connectMs: timeoutOf('connectTimeout'),
      headersMs: timeoutOf('headerTimeout'),
      idleMs: timeoutOf('idleTimeout'),
    },
    drainMs: durationOf('drain'),
  }
}

/** A request has one `Authorization`: it is for the proxy or for an upstream. */
function usersBeside(settings: Settings, upstreams: readonly UpstreamOptions[]): ProxyOptions['users'] {
  const users = readUsers(settings)
  const passthrough = upstreams.find(({ auth }) => auth === 'passthrough')
  if (users === undefined || passthrough === undefined) return users
  throw new UsageError(
    'usersFile',
    settings['usersFile'],
    `none, because clients of ${passthrough.name} send its own credentials (auth = passthrough)`,
  )
}

function readDefaultUpstream(settings: Settings, upstreams: readonly UpstreamOptions[]): string | undefined {
  const defaultUpstream = optional(settings, 'defaultUpstream')
  if (defaultUpstream === undefined) return undefined
  const names = upstreams.map(({ name }) => name).filter((name) => name !== ANY_UPSTREAM)
  if (names.includes(defaultUpstream)) return defaultUpstream
  if (names.length < upstreams.length && isHost(defaultUpstream)) return defaultUpstream
  throw new UsageError('defaultUpstream', defaultUpstream, `one of the upstreams: ${names.join(', ')}`)
}

/** Adds what the settings say of the lock server and the other nodes. @throws {UsageError} */
function readClusterOptions(settings: Settings, proxy: ProxyOptions): ProxyOptions {
  const peerListen = parseAddress('peerListen', required(settings, 'peerListen', 'HOST:PORT'))
  const lockServer = lockServerOptions(settings)
  const tokenFile = optional(settings, 'clusterTokenFile')
  const clusterToken = tokenFile === undefined ? undefined : readTokens('clusterTokenFile', tokenFile)[0]?.token
  if (clusterToken === undefined && !isLoopback(peerListen.host)) {
    const allowed = `a token, because peerListen ${peerListen.host} is not loopback`
    throw new UsageError('clusterTokenFile', undefined, allowed)
  }
  const limit = readersAreLimitedBy(proxy)
  if (clusterToken === undefined && lockServer !== undefined && limit !== undefined) {
    const allowed = `a token, because without it everyone who reaches peerListen gets what ${limit} keeps back`
    throw new UsageError('clusterTokenFile', undefined, allowed)
  }
  const peerAdvertise = optional(settings, 'peerAdvertise')
  return {
    ...proxy,
    peerListen,
    peerAdvertise: peerAdvertise === undefined ? undefined : parseHttpUrl('peerAdvertise', peerAdvertise).origin,
    clusterToken,
    lockServer,
  }
}

function lockServerOptions(settings: Settings): LockServerOptions | undefined {
  const url = optional(settings, 'lockServer')
  if (url === undefined) return undefined
  const tokenFile = optional(settings, 'lockServerTokenFile')
  const sessionTtlMs = parseDuration('sessionTtl', required(settings, 'sessionTtl', 'a duration'))
  if (sessionTtlMs < 1_000 || sessionTtlMs > 600_000) {
    throw new UsageError('sessionTtl', settings['sessionTtl'], '1s to 10m')
  }
  const lockTimeoutMs = parsePositiveDuration('lockTimeout', required(settings, 'lockTimeout', 'a duration'))
  return {
    url: parseHttpUrl('lockServer', url).href,
    token: tokenFile === undefined ? undefined : readTokens('lockServerTokenFile', tokenFile)[0]?.token,
    sessionTtlMs,
    lockTimeoutMs,
  }
}
