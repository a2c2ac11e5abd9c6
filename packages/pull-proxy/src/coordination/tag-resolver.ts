import { isDigest } from '../oci/digest.ts'
import type { TagTarget } from '../upstream/registry-client.ts'
import type { Target } from '../upstream/upstreams.ts'
import type { Coordinator } from './coordinator.ts'

/** Finds out what tags name: one `HEAD` upstream for the whole cluster, whose answer then serves for a while. */
export class TagResolver {
  readonly #coordinator: Coordinator
  readonly #tagTtlMs: number
  readonly #signal: AbortSignal

  /** @param signal ends all look-ups when the proxy stops: they belong to the cluster, not to the client that asked */
  constructor(coordinator: Coordinator, tagTtlMs: number, signal: AbortSignal) {
    this.#coordinator = coordinator
    this.#tagTtlMs = tagTtlMs
    this.#signal = signal
  }

  /** @throws {OciError} as upstream refuses; the signal's reason when the client has gone */
  async resolve({ upstream, repository }: Target, tag: string, signal: AbortSignal): Promise<TagTarget> {
    const group = `${upstream.name}/${repository}`
    const work = () => upstream.resolveTag(repository, tag, this.#signal)
    const options = { retainMs: this.#tagTtlMs, group, signal: AbortSignal.any([this.#signal, signal]) }
    const shared: Partial<TagTarget> | null = await this.#coordinator.share(`tag/${group}:${tag}`, work, options)
    // It came over the wire, from whoever may write to the lock server.
    return typeof shared?.digest === 'string' && isDigest(shared.digest) ? (shared as TagTarget) : work()
  }
}
