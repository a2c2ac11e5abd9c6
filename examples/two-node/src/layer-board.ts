import type { Content } from './image.ts'

/**
 * What a node does about a layer.
 *
 * - `waiting`: nothing yet.
 * - `queued`: it has asked, and is told neither to fetch nor whom to read from.
 * - `fetching`: from the registry.
 * - `relaying`: from a node that is still fetching itself.
 * - `skipping`: nobody fetches: it is in this node's store, or in another one's.
 * - `lost`: the node was killed.
 */
export type LayerState = 'waiting' | 'queued' | 'fetching' | 'relaying' | 'skipping' | 'lost'

/** One layer on one node. Times are `performance.now()`. */
export interface LayerTrack {
  readonly node: string
  readonly layer: Content
  /** From 1. */
  readonly number: number
  readonly state: LayerState
  /**
   * `relaying`: the node from which. `skipping`: whose store has it, if that is known. `queued`: the node from which it
   * came until that was killed.
   */
  readonly from: string | undefined
  /** Where it took over from a node that was killed, in bytes. */
  readonly resumedAtBytes: number | undefined
  /** Whether it was fetched from the registry here, to the end or not. */
  readonly isFetched: boolean
  readonly doneBytes: number
  readonly startedMs: number | undefined
  /** Defined once the layer is there, or lost. */
  readonly endedMs: number | undefined
}

/** A fetch that a proxy's status tells of. */
export interface Inflight {
  readonly digest: string
  /** Undefined until it is known. */
  readonly source?: string | undefined
  readonly done: number
}

type MutableTrack = { -readonly [Field in keyof LayerTrack]: LayerTrack[Field] }

/**
 * What every node does about every layer of an image, put together from what pullers see and what proxies say of
 * themselves.
 */
export class LayerBoard {
  readonly startedMs = performance.now()
  readonly nodes: readonly string[]
  readonly layerCount: number
  readonly #tracks: readonly MutableTrack[]
  /** Tracks of which a proxy has told: they end when it no longer does. */
  readonly #seen = new Set<MutableTrack>()

  constructor(nodes: readonly string[], layers: readonly Content[]) {
    this.nodes = nodes
    this.layerCount = layers.length
    this.#tracks = nodes.flatMap((node) => layers.map((layer, index) => newTrack(node, layer, index + 1)))
  }

  get tracks(): readonly LayerTrack[] {
    return this.#tracks
  }

  /** A node begins to pull. */
  begin(node: string): void {
    for (const track of this.#of(node)) track.startedMs = performance.now()
  }

  /** A node asks for a layer. */
  asked(node: string, digest: string): void {
    const track = this.#get(node, digest)
    if (track.state === 'waiting') this.#enter(track, 'queued')
  }

  /** A proxy says where a layer comes from: in the `X-Layerlock-Source` header, or in its status. */
  answered(node: string, digest: string, source: string): void {
    const track = this.#get(node, digest)
    if (track.endedMs !== undefined) return
    if (source === 'upstream') {
      if (track.doneBytes > 0 && track.state !== 'fetching') track.resumedAtBytes = track.doneBytes
      this.#enter(track, 'fetching')
    } else if (source === 'store') {
      this.#enter(track, 'skipping', node)
    } else if (source === 'peer') {
      this.#read(track)
    }
  }

  /** So many bytes of a layer are there. */
  progress(node: string, digest: string, doneBytes: number): void {
    const track = this.#get(node, digest)
    track.doneBytes = Math.max(track.doneBytes, doneBytes)
  }

  /** A proxy says what it is fetching now. */
  observe(node: string, inflight: readonly Inflight[]): void {
    for (const track of this.#of(node)) {
      const flight = inflight.find(({ digest }) => digest === track.layer.digest)
      if (flight !== undefined) {
        this.#seen.add(track)
        if (track.state === 'waiting') this.#enter(track, 'queued')
        if (flight.source !== undefined) this.answered(node, flight.digest, flight.source)
        this.progress(node, flight.digest, flight.done)
      } else if (this.#seen.has(track) && track.state !== 'queued') {
        this.#end(track)
      }
    }
  }

  /** A node has a layer, and its digest is right. */
  ended(node: string, digest: string): void {
    const track = this.#get(node, digest)
    // It was on its way already when it was asked for, and came before the proxy told from where.
    if (track.state === 'queued') this.#enter(track, 'skipping', node)
    this.#end(track)
  }

  /** A node has them all. `unseen` is what those did that nobody saw moving. */
  allEnded(node: string, unseen: 'skipping' | 'fetching'): void {
    for (const track of this.#of(node)) {
      if (track.state === 'waiting' || track.state === 'queued') this.#enter(track, unseen)
      this.#end(track)
    }
  }

  /** A node was killed: what it had not finished is lost, and who read from it waits. */
  lost(node: string): void {
    for (const track of this.#of(node).filter(({ endedMs }) => endedMs === undefined)) {
      track.endedMs = performance.now()
      this.#enter(track, 'lost')
    }
    for (const track of this.#tracks.filter(({ state, from }) => state === 'relaying' && from === node)) {
      if (track.endedMs === undefined) this.#enter(track, 'queued', node)
    }
  }

  /** From another node: along with it while it is fetching, else its finished copy. */
  #read(track: MutableTrack): void {
    if (track.state === 'relaying') return
    const others = this.#tracks.filter(({ node, layer }) => node !== track.node && layer.digest === track.layer.digest)
    const active = others.filter(({ state, endedMs }) => state !== 'waiting' && endedMs === undefined)
    const source = active.find(({ state }) => state === 'fetching') ?? active[0]
    if (source !== undefined) this.#enter(track, 'relaying', source.node)
    else if (!others.some(({ state }) => state === 'lost')) this.#enter(track, 'skipping', 'another node')
  }

  #enter(track: MutableTrack, state: LayerState, from?: string): void {
    if (track.state === state) return
    track.state = state
    track.from = from
    track.isFetched ||= state === 'fetching'
    track.startedMs ??= performance.now()
  }

  #end(track: MutableTrack): void {
    if (track.endedMs !== undefined) return
    track.doneBytes = track.layer.size
    track.endedMs = performance.now()
  }

  #of(node: string): MutableTrack[] {
    return this.#tracks.filter((track) => track.node === node)
  }

  #get(node: string, digest: string): MutableTrack {
    const found = this.#of(node).find(({ layer }) => layer.digest === digest)
    if (found === undefined) throw new Error(`there is no layer ${digest} on ${node}`)
    return found
  }
}

function newTrack(node: string, layer: Content, number: number): MutableTrack {
  return {
    node,
    layer,
    number,
    state: 'waiting',
    from: undefined,
    resumedAtBytes: undefined,
    isFetched: false,
    doneBytes: 0,
    startedMs: undefined,
    endedMs: undefined,
  }
}
