import { LRUCache } from 'lru-cache'
import type { RegistryClient } from '../upstream/registry-client.ts'
import type { Target } from '../upstream/upstreams.ts'

/** A list as upstream answered it. */
export interface List {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

/** In memory, in bytes. */
const MAX_CACHED_BYTES = 16 * 1024 * 1024
/** Larger ones are passed through as they come. */
export const MAX_LIST_BYTES = 1024 * 1024

/**
 * Lists of tags and referrers, for as long as tags are taken as known, so that many nodes that look for signatures at the
 * same moment cost upstream few requests. Not where clients use credentials of their own, nor where tags are asked always.
 */
export class ListCache {
  readonly #lists = new LRUCache<string, List>({
    maxSize: MAX_CACHED_BYTES,
    sizeCalculation: ({ body }, key) => body.length + 2 * key.length + 1_000,
  })
  readonly #pending = new Map<string, Promise<List | undefined>>()

  static isAllowed({ passthrough, tags }: RegistryClient): boolean {
    return !passthrough && tags.policy !== 'always' && tags.ttlMs > 0
  }

  /**
   * Gives a list that is known, or that somebody is asking for now.
   *
   * @param fetch asks upstream; undefined for a list that cannot be kept
   */
  async get({ upstream, repository }: Target, path: string, fetch: () => Promise<List | undefined>) {
    const key = `${upstream.name}/${repository}/${path}`
    const known = this.#lists.get(key)
    if (known !== undefined) return known
    const pending = this.#pending.get(key)
    if (pending !== undefined) return pending
    const asked = fetch()
    this.#pending.set(key, asked)
    try {
      const list = await asked
      if (list !== undefined) this.#lists.set(key, list, { ttl: upstream.tags.ttlMs })
      return list
    } finally {
      this.#pending.delete(key)
    }
  }
}
