import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  findBinary,
  freePort,
  startDockerRegistry,
  startLockServer,
  startProcess,
  startProxy,
  waitFor,
} from '@layerlock/test-support'

/** Something that stands between clients and a registry. */
export interface Contender {
  readonly name: string
  /** Starts it in front of a registry. Resolves with the base URL for each client; undefined when it is not installed. */
  start(setup: ContenderSetup): Promise<readonly string[] | undefined>
}

interface ContenderSetup {
  readonly upstream: string
  readonly clients: number
  readonly folder: string
  /** Whatever is put here ends with the run. */
  readonly parts: AsyncDisposableStack
}

const repeat = (url: string, { clients }: ContenderSetup) => Array.from({ length: clients }, () => url)

export const direct: Contender = {
  name: 'direct',
  start: (setup) => Promise.resolve(repeat(setup.upstream, setup)),
}

export const dockerRegistry: Contender = {
  name: 'docker-registry pull-through',
  async start(setup) {
    if (findBinary('docker-registry') === undefined) return undefined
    const registry = setup.parts.use(await startDockerRegistry({ proxyOf: setup.upstream }))
    return repeat(registry.url, setup)
  },
}

export const nginx: Contender = {
  name: 'nginx, proxy_cache_lock',
  async start(setup) {
    const command = findBinary('nginx')
    if (command === undefined) return undefined
    const port = await freePort()
    const url = `http://127.0.0.1:${port}`
    await mkdir(setup.folder, { recursive: true })
    const config = join(setup.folder, 'nginx.conf')
    await writeFile(config, nginxConfig(setup.folder, port, setup.upstream))
    setup.parts.use(await startProcess({ command, args: ['-c', config, '-p', setup.folder] }))
    await waitFor(
      () =>
        fetch(`${url}/v2/`).then(
          (answer) => answer.ok,
          () => false,
        ),
      { what: 'nginx to answer' },
    )
    return repeat(url, setup)
  },
}

export const oneProxy: Contender = {
  name: 'layerlock, one node',
  async start(setup) {
    const { parts, folder, upstream } = setup
    const upstreams = { bench: upstream }
    const proxy = parts.use(await startProxy({ node: 'a', storeFolder: folder, upstreams, defaultUpstream: 'bench' }))
    return repeat(proxy.url, setup)
  },
}

export const manyProxies: Contender = {
  name: 'layerlock, a node for each client',
  async start({ parts, folder, upstream, clients }) {
    const lockServer = parts.use(await startLockServer()).url
    const nodes = Array.from({ length: clients }, (_, index) => `node-${index}`)
    const proxies = await Promise.all(
      nodes.map(async (node) => {
        const storeFolder = join(folder, node)
        const upstreams = { bench: upstream }
        return parts.use(await startProxy({ node, storeFolder, lockServer, upstreams, defaultUpstream: 'bench' }))
      }),
    )
    return proxies.map(({ url }) => url)
  },
}

function nginxConfig(folder: string, port: number, upstream: string): string {
  return `daemon off; master_process off; pid ${folder}/nginx.pid; error_log ${folder}/error.log;
events { worker_connections 1024; }
http {
  access_log off; client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/temp;
  fastcgi_temp_path ${folder}/fastcgi; uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
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
