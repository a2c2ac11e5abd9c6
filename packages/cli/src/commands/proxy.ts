import { hostname } from 'node:os'
import { type LockServerOptions, type ProxyOptions, PullProxy } from '@layerlock/proxy'
import type { Command } from 'commander'
import { ensureFolder } from '../folder.ts'
import { type CliLogger, createLogger } from '../logger.ts'
import { serve, type Service } from '../serve.ts'
import { optional, required, type Settings, settingsOf } from '../settings.ts'
import { readTokens } from '../token-file.ts'
import { UsageError } from '../usage-error.ts'
import { parseAddress, parseDuration, parseHttpUrl, parseUpstream } from '../values.ts'
import { createCommand, flag } from './common-options.ts'

/** Adds the flags that say how a proxy pulls; `layerlock up` has them too. */
export function addPullFlags(command: Command): Command {
  return command
    .addOption(flag('--listen <host:port>', 'where container clients connect; port 0 takes any', '127.0.0.1:5050'))
    .addOption(flag('--store <dir>', 'the folder of the blobs (required)'))
    .addOption(flag('--upstream <name=url...>', 'a registry that may be pulled from; may be repeated (required)'))
    .addOption(flag('--default-upstream <name>', 'the upstream of requests that name none'))
    .addOption(flag('--node <name>', 'what this node is called (default: the host name)'))
    .addOption(flag('--admin-listen <host:port>', 'where to serve /healthz, /readyz and /v1/status'))
    .addOption(flag('--tag-ttl <duration>', 'how long the digest of a tag is taken as known', '10s'))
    .addOption(flag('--drain <duration>', 'how long clients may take to finish when the proxy stops', '30s'))
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
      const lockServer = lockServerOptions(settings)
      await serve(async (running) => [running.use(await startProxy(settings, lockServer, logger))], logger)
    })
}

/** Starts a proxy as the settings say. @throws {UsageError} */
export async function startProxy(
  settings: Settings,
  lockServer: LockServerOptions | undefined,
  logger: CliLogger,
): Promise<Service> {
  const options = proxyOptions(settings)
  ensureFolder('store', options.store)
  const proxy = await PullProxy.start({ ...options, lockServer }, logger.child({ part: 'proxy' }))
  return { urls: { ...proxy.urls }, [Symbol.asyncDispose]: () => proxy[Symbol.asyncDispose]() }
}

function proxyOptions(settings: Settings): ProxyOptions {
  const store = required(settings, 'store', 'a folder')
  const upstreams = readUpstreams(settings)
  const defaultUpstream = optional(settings, 'defaultUpstream')
  if (defaultUpstream !== undefined && !upstreams.some(({ name }) => name === defaultUpstream)) {
    const names = upstreams.map(({ name }) => name).join(', ')
    throw new UsageError('defaultUpstream', defaultUpstream, `one of the upstreams: ${names}`)
  }
  const peerListen = parseAddress('peerListen', optional(settings, 'peerListen') ?? '127.0.0.1:0')
  const tokenFile = optional(settings, 'clusterTokenFile')
  const clusterToken = tokenFile === undefined ? undefined : readTokens('clusterTokenFile', tokenFile)[0]?.token
  if (clusterToken === undefined && !isLoopback(peerListen.host)) {
    throw new UsageError(
      'clusterTokenFile',
      undefined,
      `a token, because peerListen ${peerListen.host} is not loopback`,
    )
  }
  const peerAdvertise = optional(settings, 'peerAdvertise')
  const adminListen = optional(settings, 'adminListen')
  return {
    node: optional(settings, 'node') ?? hostname(),
    listen: parseAddress('listen', required(settings, 'listen', 'HOST:PORT')),
    store,
    upstreams,
    defaultUpstream,
    peerListen,
    peerAdvertise: peerAdvertise === undefined ? undefined : parseHttpUrl('peerAdvertise', peerAdvertise).origin,
    clusterToken,
    adminListen: adminListen === undefined ? undefined : parseAddress('adminListen', adminListen),
    tagTtlMs: parseDuration('tagTtl', required(settings, 'tagTtl', 'a duration')),
    drainMs: parseDuration('drain', required(settings, 'drain', 'a duration')),
  }
}

function readUpstreams(settings: Settings): { name: string; url: URL }[] {
  // From the environment all come as one text.
  const texts = [settings['upstream'] ?? []].flat().flatMap((text) => text.split(/[\s,]+/))
  const upstreams = texts.filter((text) => text !== '').map((text) => parseUpstream('upstream', text))
  if (upstreams.length === 0) throw new UsageError('upstream', undefined, 'at least one NAME=URL')
  const twice = upstreams.find(({ name }, index) => upstreams.findIndex((other) => other.name === name) !== index)
  if (twice !== undefined) throw new UsageError('upstream', twice.name, 'each name once')
  return upstreams
}

function lockServerOptions(settings: Settings): LockServerOptions | undefined {
  const url = optional(settings, 'lockServer')
  if (url === undefined) return undefined
  const tokenFile = optional(settings, 'lockServerTokenFile')
  const sessionTtlMs = parseDuration('sessionTtl', required(settings, 'sessionTtl', 'a duration'))
  if (sessionTtlMs < 1_000 || sessionTtlMs > 600_000) {
    throw new UsageError('sessionTtl', settings['sessionTtl'], '1s to 10m')
  }
  const lockTimeoutMs = parseDuration('lockTimeout', required(settings, 'lockTimeout', 'a duration'))
  if (lockTimeoutMs === 0) throw new UsageError('lockTimeout', settings['lockTimeout'], 'more than 0s')
  return {
    url: parseHttpUrl('lockServer', url).href,
    token: tokenFile === undefined ? undefined : readTokens('lockServerTokenFile', tokenFile)[0]?.token,
    sessionTtlMs,
    lockTimeoutMs,
  }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.')
}
