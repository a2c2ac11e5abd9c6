import { connectEtcd, connectEtcdTransactions } from './users/etcd.ts'
import { connectLayerlock } from './users/layerlock.ts'
import { connectRedisSemaphore, connectRedlock } from './users/redis.ts'

/** Gives the lock back; resolves when the server has said so. */
type Release = () => Promise<void>

/** One program that uses locks: a connection to a contender's server, by the library that its users would take. */
export interface LockUser extends AsyncDisposable {
  /** Gets ready for places 0 to `places - 1`, before anything is measured. */
  prepare(places: number): Promise<void>
  /** Waits for the lock. A place asks for one lock at a time. */
  acquire(key: string, place: number): Promise<Release>
  /** How many wait in line for the key, where the server knows. */
  waiting?(key: string): Promise<number>
  /** Does the work unless it is done or being done; resolves with its value and whether this call did it. */
  once?(key: string, work: () => Promise<number>): Promise<{ readonly ran: boolean; readonly value: number }>
  /** Leaves that many records behind. */
  fill?(records: number): Promise<void>
}

export type ContenderName =
  | 'layerlock-memory'
  | 'layerlock-sqlite'
  | 'redlock'
  | 'redis-semaphore'
  | 'etcd'
  | 'etcd-txn'

type Connect = (url: string) => LockUser | Promise<LockUser>

const CONNECT: Readonly<Record<ContenderName, Connect>> = {
  'layerlock-memory': connectLayerlock,
  'layerlock-sqlite': connectLayerlock,
  redlock: connectRedlock,
  'redis-semaphore': connectRedisSemaphore,
  etcd: connectEtcd,
  'etcd-txn': connectEtcdTransactions,
}

/** Connects to a contender's server. */
export async function connect(name: ContenderName, url: string): Promise<LockUser> {
  return CONNECT[name](url)
}
