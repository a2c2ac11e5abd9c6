import { Agent, request } from 'undici'
import type { LockUser } from '../lock-user.ts'

/** Longer than any run, so that no lease needs a heartbeat while something is measured. */
const LEASE_SECONDS = 3_600

/**
 * etcd's lock service by its JSON gateway: waiters stand in line at the server. A lease takes part once in a line, so
 * each place has one of its own, granted beforehand.
 */
export function connectEtcd(url: string): LockUser {
  const gateway = new Gateway(url)
  return {
    prepare: (places) => gateway.grantLeases(places),
    async acquire(key, place) {
      const lock = await gateway.call<{ key: string }>('/v3/lock/lock', {
        name: base64(key),
        lease: gateway.leases[place],
      })
      return async () => {
        await gateway.call('/v3/lock/unlock', { key: lock.key })
      }
    },
    async waiting(key) {
      // The entries of those who wait and of the holder begin with the name and a slash; '0' comes after '/'.
      const range = { key: base64(`${key}/`), range_end: base64(`${key}0`), count_only: true }
      return Number((await gateway.call<{ count?: string }>('/v3/kv/range', range)).count ?? 0) - 1
    },
    [Symbol.asyncDispose]: () => gateway.close(),
  }
}

/** The bare transactions below such a lock: put if absent, and delete. Nobody can wait for it. */
export function connectEtcdTransactions(url: string): LockUser {
  const gateway = new Gateway(url)
  return {
    prepare: (places) => gateway.grantLeases(places),
    async acquire(name, place) {
      const key = base64(name)
      const { succeeded } = await gateway.call<{ succeeded?: boolean }>('/v3/kv/txn', {
        compare: [{ key, target: 'CREATE', result: 'EQUAL', create_revision: '0' }],
        success: [{ request_put: { key, value: '', lease: gateway.leases[place] } }],
      })
      if (succeeded !== true) throw new Error(`${name} is held`)
      return async () => {
        await gateway.call('/v3/kv/deleterange', { key })
      }
    },
    [Symbol.asyncDispose]: () => gateway.close(),
  }
}

class Gateway {
  readonly leases: string[] = []
  readonly #url: string
  readonly #agent = new Agent({ headersTimeout: 0, bodyTimeout: 0 })

  constructor(url: string) {
    this.#url = url
  }

  async grantLeases(count: number): Promise<void> {
    while (this.leases.length < count) {
      const wanted = Math.min(50, count - this.leases.length)
      const grant = () => this.call<{ ID: string }>('/v3/lease/grant', { TTL: LEASE_SECONDS })
      const granted = await Promise.all(Array.from({ length: wanted }, grant))
      this.leases.push(...granted.map(({ ID }) => ID))
    }
  }

  async call<T>(path: string, body: object): Promise<T> {
    const { statusCode, body: answer } = await request(this.#url + path, {
      dispatcher: this.#agent,
      method: 'POST',
      body: JSON.stringify(body),
    })
    const text = await answer.text()
    if (statusCode !== 200) throw new Error(`etcd answered ${statusCode} to ${path}: ${text}`)
    return JSON.parse(text) as T
  }

  close(): Promise<void> {
    return this.#agent.destroy()
  }
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}
