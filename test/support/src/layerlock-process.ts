import { join } from 'node:path'

import { request } from 'undici'

import { type RunningProcess, startProcess } from './child-process.ts'
import { waitFor } from './wait-for.ts'

/** Generous: a machine under load takes seconds to start Node. */
const readyTimeoutMs = 30_000

const repositoryRoot = join(import.meta.dirname, '..', '..', '..')

/** One line of layerlock's log. */
export type LogLine = Readonly<Record<string, unknown>>

/** A process of the `layerlock` command. */
export interface LayerlockProcess extends RunningProcess {
  /** Of its first listener, without a slash at the end. */
  readonly url: string
  /** The lines of its log so far; what is not JSON is left out. */
  logLines(): LogLine[]
}

/** What both commands take. */
export interface LayerlockOptions {
  /** More flags, after those that follow from the other options. */
  readonly args?: readonly string[] | undefined
  readonly env?: Readonly<Record<string, string | undefined>> | undefined
}

/** How to start a lock server. */
export interface LockServerOptions extends LayerlockOptions {
  /** Default `127.0.0.1:0`; one that is started again needs the address it had. */
  readonly listen?: string | undefined
  /** `--data`. Default: none. */
  readonly dataFolder?: string | undefined
  /** Default `memory`. */
  readonly store?: string | undefined
}

/** How to start a pull proxy. */
export interface ProxyOptions extends LayerlockOptions {
  readonly node: string
  readonly storeFolder: string
  /** URL. Default: none, so it fetches on its own. */
  readonly lockServer?: string | undefined
  /** URLs by name, e.g. `{ 'docker.io': registry.url }`. */
  readonly upstreams: Readonly<Record<string, string>>
  readonly defaultUpstream?: string | undefined
  /** Default `127.0.0.1:0`. */
  readonly listen?: string | undefined
  /** Default `127.0.0.1:0`. */
  readonly peerListen?: string | undefined
}

/** What a proxy says of itself, with the fields that are promised. */
export interface ProxyStatus {
  readonly node: string
  readonly bytes: { readonly upstream: number; readonly peer: number; readonly served: number }
  readonly upstreamRequests: { readonly blobs: number; readonly manifests: number; readonly tokens: number }
  readonly inflight: readonly {
    readonly digest: string
    readonly source: string
    readonly done: number
    readonly total: number
    readonly readers: number
  }[]
  readonly store: { readonly blobs: number; readonly bytes: number }
}

/** A pull proxy. */
export interface ProxyProcess extends LayerlockProcess {
  /** `host:port` of its registry face, for a mirror's `location`. */
  readonly host: string
  readonly peerUrl: string
  readonly adminUrl: string
  /** Asks its admin port. */
  status(): Promise<ProxyStatus>
}

/** Starts `layerlock server` from source. */
export async function startLockServer(options: LockServerOptions = {}): Promise<LayerlockProcess> {
  const { listen = '127.0.0.1:0', dataFolder, store = 'memory', args = [], env } = options
  const data = dataFolder === undefined ? [] : ['--data', dataFolder]
  const running = await startLayerlock(['server', '--listen', listen, '--store', store, ...data, ...args], env)
  return withMembers(running, { url: listenerUrl(running, 'server'), logLines: () => logLinesOf(running) })
}

/** Starts `layerlock proxy` from source. */
export async function startProxy(options: ProxyOptions): Promise<ProxyProcess> {
  const { node, storeFolder, lockServer, upstreams, defaultUpstream, args = [], env } = options
  const { listen = '127.0.0.1:0', peerListen = '127.0.0.1:0' } = options
  const flags = ['--listen', listen, '--peer-listen', peerListen, '--admin-listen', '127.0.0.1:0']
  flags.push('--node', node, '--store', storeFolder)
  for (const [name, url] of Object.entries(upstreams)) flags.push('--upstream', `${name}=${url}`)
  if (defaultUpstream !== undefined) flags.push('--default-upstream', defaultUpstream)
  if (lockServer !== undefined) flags.push('--lock-server', lockServer)

  const running = await startLayerlock(['proxy', ...flags, ...args], env)
  const url = listenerUrl(running, 'proxy')
  const adminUrl = listenerUrl(running, 'admin')
  return withMembers(running, {
    url,
    host: new URL(url).host,
    peerUrl: listenerUrl(running, 'peer'),
    adminUrl,
    logLines: () => logLinesOf(running),
    async status() {
      const { statusCode, body } = await request(`${adminUrl}/v1/status`)
      if (statusCode !== 200) throw new Error(`${adminUrl}/v1/status answered ${statusCode}: ${await body.text()}`)
      return (await body.json()) as ProxyStatus
    },
  })
}

async function startLayerlock(args: readonly string[], env: LayerlockOptions['env']): Promise<RunningProcess> {
  return startProcess({
    command: process.execPath,
    args: ['packages/cli/src/main.ts', ...args],
    cwd: repositoryRoot,
    env: { NODE_OPTIONS: undefined, ...env },
    readyWhen: (running, signal) =>
      waitFor(() => logLinesOf(running).some(({ msg }) => msg === 'ready'), {
        what: 'layerlock to be ready',
        timeoutMs: readyTimeoutMs,
        signal,
      }),
    readyTimeoutMs,
  })
}

/** Adds members without reading the getters of the process, whose values change. */
function withMembers<T extends object>(running: RunningProcess, members: T): RunningProcess & T {
  return Object.assign(running, members)
}

function listenerUrl(running: RunningProcess, name: string): string {
  const line = logLinesOf(running).find((each) => each['msg'] === 'listening' && each['name'] === name)
  const url = line?.['url']
  if (typeof url !== 'string')
    throw new Error(`layerlock did not say where its ${name} listens: ${running.stderr.text}`)
  return url.replace(/\/$/, '')
}

function logLinesOf({ stderr }: RunningProcess): LogLine[] {
  return stderr.lines.filter((line) => line.startsWith('{')).flatMap(parseLine)
}

function parseLine(line: string): LogLine[] {
  try {
    return [JSON.parse(line) as LogLine]
  } catch {
    return []
  }
}
