import { OciError } from '../oci/oci-error.ts'
import { parseRepository, type Repository } from '../oci/repository.ts'
import type { RegistryClient } from './registry-client.ts'

/** Where a request goes: a configured upstream, and the repository there. */
export interface Target {
  readonly upstream: RegistryClient
  readonly repository: Repository
}

/** The configured upstreams. Nothing else can be reached. */
export class Upstreams implements AsyncDisposable {
  readonly #byName: ReadonlyMap<string, RegistryClient>
  readonly #default: string | undefined

  constructor(upstreams: readonly RegistryClient[], defaultName: string | undefined) {
    this.#byName = new Map(upstreams.map((upstream) => [upstream.name, upstream]))
    this.#default = defaultName
  }

  /**
   * Finds the upstream of a request: by containerd's `ns`, by a first path segment that is an upstream's name, or the
   * default one, in this order.
   *
   * @throws {OciError} `NAME_UNKNOWN` when it is none of the configured ones, `NAME_INVALID` for a malformed name
   */
  resolve(name: string, ns: string | undefined): Target {
    if (ns !== undefined) return this.#target(ns, name)
    const slash = name.indexOf('/')
    const first = name.slice(0, Math.max(0, slash))
    if (this.#byName.has(first)) return this.#target(first, name.slice(slash + 1))
    if (this.#default === undefined) {
      throw new OciError('NAME_UNKNOWN', `${name}: names no configured upstream, and there is no default one`)
    }
    return this.#target(this.#default, name)
  }

  #target(upstreamName: string, name: string): Target {
    const upstream = this.#byName.get(upstreamName)
    if (upstream === undefined) {
      const known = [...this.#byName.keys()].join(', ')
      throw new OciError('NAME_UNKNOWN', `${upstreamName} is no configured upstream; there are: ${known}`)
    }
    // Docker Hub's official images live in `library`; clients that take a mirror's path literally do not add it.
    const isShort = upstreamName === 'docker.io' && !name.includes('/')
    return { upstream, repository: parseRepository(isShort ? `library/${name}` : name) }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#byName.values()].map((upstream) => upstream[Symbol.asyncDispose]()))
  }
}
