import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  findBinary,
  freePort,
  type RunningProcess,
  startLockServer,
  startProcess,
  waitFor,
} from '@layerlock/test-support'
import type { ContenderName } from './lock-user.ts'

/** A lock server that takes part. */
export interface Contender {
  readonly name: ContenderName
  readonly label: string
  /** The program that must be installed; undefined for ours. */
  readonly needs?: string
  /** Whether several can wait for one key. */
  readonly queues: boolean
  start(options: StartOptions): Promise<StartedServer>
}

interface StartOptions {
  /** Its data goes here; made when missing. */
  readonly folder: string
  /** Where a profile is left when it ends, if it can make one. */
  readonly profileFolder?: string | undefined
}

export interface StartedServer {
  readonly url: string
  readonly process: RunningProcess
}

export const CONTENDERS: readonly Contender[] = [
  { name: 'layerlock-memory', label: 'layerlock (memory)', queues: true, start: startLayerlock('memory') },
  { name: 'layerlock-sqlite', label: 'layerlock (sqlite)', queues: true, start: startLayerlock('sqlite') },
  { name: 'redlock', label: 'redlock', needs: 'redis-server', queues: true, start: startRedis },
  { name: 'redis-semaphore', label: 'redis-semaphore', needs: 'redis-server', queues: true, start: startRedis },
  { name: 'etcd', label: 'etcd, lock service', needs: 'etcd', queues: true, start: startEtcd },
  { name: 'etcd-txn', label: 'etcd, transactions', needs: 'etcd', queues: false, start: startEtcd },
]

/** Whether its server is there. */
export function isInstalled({ needs }: Contender): boolean {
  return needs === undefined || findBinary(needs) !== undefined
}

export function labelOf(name: ContenderName): string {
  return CONTENDERS.find((contender) => contender.name === name)?.label ?? name
}

function startLayerlock(store: 'memory' | 'sqlite') {
  return async ({ folder, profileFolder }: StartOptions): Promise<StartedServer> => {
    const flags = profileFolder === undefined ? undefined : `--cpu-prof --cpu-prof-dir=${profileFolder}`
    const server = await startLockServer({ store, dataFolder: folder, env: { NODE_OPTIONS: flags } })
    return { url: server.url, process: server }
  }
}

/** A Redis without persistence: the fastest that there is. */
async function startRedis({ folder }: StartOptions): Promise<StartedServer> {
  await mkdir(folder, { recursive: true })
  const port = await freePort()
  const server = await startProcess({
    command: findBinary('redis-server')!,
    args: ['--bind', '127.0.0.1', '--port', String(port), '--save', '', '--appendonly', 'no', '--dir', folder],
    readyWhen: /Ready to accept connections/,
  })
  return { url: `redis://127.0.0.1:${port}`, process: server }
}

/** An etcd of one member, which syncs each change to disk, like layerlock on SQLite. */
async function startEtcd({ folder }: StartOptions): Promise<StartedServer> {
  const url = `http://127.0.0.1:${await freePort()}`
  const peerUrl = `http://127.0.0.1:${await freePort()}`
  const args = ['--data-dir', join(folder, 'etcd'), '--logger', 'zap', '--log-level', 'error']
  args.push('--listen-client-urls', url, '--advertise-client-urls', url)
  args.push('--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl)
  args.push('--initial-cluster', `default=${peerUrl}`)
  const isHealthy = () =>
    fetch(`${url}/health`).then(
      async (answer) => (await answer.text()).includes('true'),
      () => false,
    )
  const server = await startProcess({
    command: findBinary('etcd')!,
    args,
    readyWhen: (_, signal) => waitFor(isHealthy, { what: 'etcd to be healthy', signal, timeoutMs: 15_000 }),
  })
  return { url, process: server }
}
