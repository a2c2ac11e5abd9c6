import { LRUCache } from 'lru-cache'
import { OciError } from '../oci/oci-error.ts'
import { parseRepository } from '../oci/repository.ts'
import type { RegistryClient } from './registry-client.ts'
import type { RepositoryScope } from './registry-requests.ts'
import { canonicalHost, isHostSegment, publicRegistryUrl } from './registry-host.ts'

/** Where a request goes: a configured upstream, the repository there, and on whose behalf. */
export interface Target extends RepositoryScope {
  readonly upstream: RegistryClient
}

/** The upstream `*`: all public registries that are not configured by name. */
export interface AnyUpstream {
  /** Makes the client of one host, which must reach nothing but public addresses (`publicOnly`). */
  readonly create: (name: string, url: URL) => RegistryClient
  /** How many hosts' clients are kept. Default 100. */
  readonly maxHosts?: number | undefined
}

export interface UpstreamsOptions {
  /** For what names no upstream. Default: such a request is refused. */
  readonly defaultName?: string | undefined
  /** Default: only the configured ones can be reached. */
  readonly any?: AnyUpstream | undefined
}

const DEFAULT_MAX_HOSTS = 100

/** The configured upstreams. Nothing else can be reached. */
export class Upstreams implements AsyncDisposable {
  readonly #byName: ReadonlyMap<string, RegistryClient>
  readonly #default: string | undefined
  readonly #any: AnyUpstream | undefined
  /**
   * Clients of `*`. One that has to go is let go rather than disposed of, since a flight may be using it: its connections
   * close by themselves when nobody does, and they keep no process alive.
   */
  readonly #byHost: LRUCache<string, RegistryClient>

  constructor(upstreams: readonly RegistryClient[], { defaultName, any }: UpstreamsOptions = {}) {
    this.#byName = new Map(upstreams.map((upstream) => [upstream.name, upstream]))
    this.#default = defaultName
    this.#any = any
    this.#byHost = new LRUCache({ max: any?.maxHosts ?? DEFAULT_MAX_HOSTS })
  }

  /**
   * Finds the upstream of a request: by containerd's `ns`, by a first path segment that is an upstream's name (with `*`,
   * that looks like a host), or the default one, in this order.
   *
   * @throws {OciError} `NAME_UNKNOWN` when it is none of the configured ones, `NAME_INVALID` for a malformed name
   */
  resolve(name: string, ns: string | undefined): Target {
    if (ns !== undefined) return this.#target(ns, name)
    const slash = name.indexOf('/')
    const first = name.slice(0, Math.max(0, slash))
    if (this.#configured(first) !== undefined || (this.#any !== undefined && isHostSegment(first))) {
      return this.#target(first, name.slice(slash + 1))
    }
    if (this.#default === undefined) {
      throw new OciError('NAME_UNKNOWN', `${name}: names no configured upstream, and there is no default one`)
    }
    return this.#target(this.#default, name)
  }

  /**
   * The upstream that a client means which asks for `/v2/`: the one of its `ns`, the default one, or the only one. Clients
   * that name an upstream in the path do not do it here.
   */
  meant(ns: string | undefined): RegistryClient | undefined {
    if (ns !== undefined) return this.#configured(ns)
    if (this.#default !== undefined) return this.#configured(this.#default)
    return this.#byName.size === 1 && this.#any === undefined ? [...this.#byName.values()][0] : undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const clients = [...this.#byName.values(), ...this.#byHost.values()]
    await Promise.all(clients.map((upstream) => upstream[Symbol.asyncDispose]()))
  }

  #target(upstreamName: string, name: string): Target {
    const host = canonicalHost(upstreamName)
    // Docker Hub's official images live in `library`; clients that take a mirror's path literally do not add it.
    const isShort = host === 'docker.io' && !name.includes('/')
    // First, so that a malformed name makes no client.
    const repository = parseRepository(isShort ? `library/${name}` : name)
    const upstream = this.#configured(upstreamName) ?? this.#ofHost(host)
    if (upstream === undefined) {
      const known = [...this.#byName.keys(), ...(this.#any === undefined ? [] : ['any public host'])].join(', ')
      const asked = JSON.stringify(upstreamName.slice(0, 300))
      throw new OciError('NAME_UNKNOWN', `${asked} is no configured upstream; there are: ${known}`)
    }
    return { upstream, repository }
  }

  #configured(name: string): RegistryClient | undefined {
    return this.#byName.get(name) ?? this.#byName.get(canonicalHost(name))
  }

  #ofHost(host: string): RegistryClient | undefined {
    if (this.#any === undefined) return undefined
    const known = this.#byHost.get(host)
    if (known !== undefined) return known
    const url = publicRegistryUrl(host)
    if (url === undefined) return undefined
    const client = this.#any.create(host, url)
    this.#byHost.set(host, client)
    return client
  }
}
