import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  findBinary,
  freePort,
  type Image,
  type RunningProcess,
  startDockerRegistry,
  startLockServer,
  startProcess,
  startProxy,
  waitFor,
} from '@layerlock/test-support'

export type ContenderName =
  | 'layerlock'
  | 'layerlock-nodes'
  | 'docker-registry'
  | 'docker-registry-own'
  | 'nginx'
  | 'node'
  | 'direct'

export type ScenarioName = 'warm' | 'manifests' | 'first-byte' | 'cold'

/** Something that serves blobs, most of them as a cache in front of a registry. */
export interface Contender {
  readonly name: ContenderName
  readonly label: string
  /** The program that must be installed; undefined for Node's own. */
  readonly needs?: string
  readonly scenarios: readonly ScenarioName[]
  start(setup: ContenderSetup): Promise<StartedContender>
}

interface ContenderSetup {
  /** The registry's URL. */
  readonly upstream: string
  readonly clients: number
  /** For its data; made when missing. */
  readonly folder: string
  /** What it serves if it has no upstream, as `library/bench:latest`. */
  readonly image: Image
  /** Where a profile is left when it ends, if it can make one. */
  readonly profileFolder?: string | undefined
  /** Whatever is put here ends with the run. */
  readonly parts: AsyncDisposableStack
}

export interface StartedContender {
  /** The base URL for each client. */
  readonly urls: readonly string[]
  /** The process whose CPU time and memory count; undefined when there are several. */
  readonly pid: number | undefined
}

const SINGLE = ['warm', 'manifests', 'first-byte', 'cold'] as const

export const CONTENDERS: readonly Contender[] = [
  { name: 'layerlock', label: 'layerlock', scenarios: SINGLE, start: startLayerlock },
  { name: 'layerlock-nodes', label: 'layerlock, a node for each client', scenarios: ['cold'], start: startNodes },
  {
    name: 'docker-registry',
    label: 'docker-registry, pull-through',
    needs: 'docker-registry',
    scenarios: SINGLE,
    start: startPullThrough,
  },
  {
    name: 'docker-registry-own',
    label: 'docker-registry, own storage',
    needs: 'docker-registry',
    scenarios: ['warm', 'manifests'],
    start: startOwnStorage,
  },
  { name: 'nginx', label: 'nginx, proxy_cache', needs: 'nginx', scenarios: SINGLE, start: startNginx },
  { name: 'node', label: 'bare Node file server', scenarios: ['warm', 'manifests'], start: startFileServer },
  { name: 'direct', label: 'direct', scenarios: ['first-byte', 'cold'], start: startNothing },
]

/** Whether its program is there. */
export function isInstalled({ needs }: Contender): boolean {
  return needs === undefined || findBinary(needs) !== undefined
}

function started(server: RunningProcess, url: string, { clients, parts }: ContenderSetup): StartedContender {
  parts.use(server)
  return { urls: Array.from({ length: clients }, () => url), pid: server.pid }
}

async function startLayerlock(setup: ContenderSetup): Promise<StartedContender> {
  const { folder, upstream, profileFolder } = setup
  const flags = profileFolder === undefined ? undefined : `--cpu-prof --cpu-prof-dir=${profileFolder}`
  const proxy = await startProxy({
    node: 'a',
    storeFolder: folder,
    upstreams: { bench: upstream },
    defaultUpstream: 'bench',
    env: { NODE_OPTIONS: flags },
  })
  return started(proxy, proxy.url, setup)
}

async function startNodes({ parts, folder, upstream, clients }: ContenderSetup): Promise<StartedContender> {
  const lockServer = parts.use(await startLockServer()).url
  const nodes = Array.from({ length: clients }, (_, index) => `node-${index}`)
  const proxies = await Promise.all(
    nodes.map(async (node) => {
      const storeFolder = join(folder, node)
      const upstreams = { bench: upstream }
      return parts.use(await startProxy({ node, storeFolder, lockServer, upstreams, defaultUpstream: 'bench' }))
    }),
  )
  return { urls: proxies.map(({ url }) => url), pid: undefined }
}

async function startPullThrough(setup: ContenderSetup): Promise<StartedContender> {
  const registry = setup.parts.use(await startDockerRegistry({ proxyOf: setup.upstream }))
  return started(registry.process, registry.url, setup)
}

async function startOwnStorage(setup: ContenderSetup): Promise<StartedContender> {
  const registry = setup.parts.use(await startDockerRegistry())
  await registry.pushImage(setup.image, { repository: 'library/bench', tag: 'latest' })
  return started(registry.process, registry.url, setup)
}

async function startNginx(setup: ContenderSetup): Promise<StartedContender> {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  await mkdir(setup.folder, { recursive: true })
  const config = join(setup.folder, 'nginx.conf')
  await writeFile(config, nginxConfig(setup.folder, port, setup.upstream))
  const command = findBinary('nginx')!
  const nginx = await startProcess({ command, args: ['-c', config, '-p', setup.folder] })
  const isUp = () =>
    fetch(`${url}/v2/`).then(
      (answer) => answer.ok,
      () => false,
    )
  const server = started(nginx, url, setup)
  await waitFor(isUp, { what: 'nginx to answer' })
  return server
}

async function startFileServer(setup: ContenderSetup): Promise<StartedContender> {
  const server = await startProcess({
    command: process.execPath,
    args: [join(import.meta.dirname, 'file-server.ts'), join(setup.image.folder, 'blobs', 'sha256')],
    env: { NODE_OPTIONS: undefined },
    readyWhen: /listening on/,
  })
  const [, url = ''] = await server.waitForOutput(/listening on (\S+)/)
  return started(server, url, setup)
}

async function startNothing({ upstream, clients }: ContenderSetup): Promise<StartedContender> {
  return Promise.resolve({ urls: Array.from({ length: clients }, () => upstream), pid: undefined })
}

/** One process, as all others are one; sendfile, and connections that last as long as their clients want. */
function nginxConfig(folder: string, port: number, upstream: string): string {
  return `daemon off; master_process off; pid ${folder}/nginx.pid; error_log ${folder}/error.log;
events { worker_connections 1024; }
http {
  access_log off; client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/temp;
  fastcgi_temp_path ${folder}/fastcgi; uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
  sendfile on; tcp_nopush on; keepalive_requests 100000000;
  proxy_cache_path ${folder}/cache keys_zone=blobs:10m max_size=4g inactive=1h use_temp_path=off;
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass ${upstream}; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_cache blobs; proxy_cache_lock on; proxy_cache_valid 200 1h; proxy_max_temp_file_size 4096m;
    }
  }
}
`
}
