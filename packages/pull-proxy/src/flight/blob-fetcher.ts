import type { FastifyBaseLogger } from 'fastify'
import { StoreWriteError } from '../content/store-write-error.ts'
import type { Claim, ClaimAnswer, Coordinator, Lead } from '../coordination/coordinator.ts'
import { OciError } from '../oci/oci-error.ts'
import { type Peer, PeerError } from '../relay/peer.ts'
import type { PeerClient } from '../relay/peer-client.ts'
import type { ProxyStats } from '../status/proxy-stats.ts'
import { describe } from '../upstream/http-exchange.ts'
import { type FetchRequest, groupOf } from './fetch-request.ts'
import { fillFromUpstream, pour } from './fill.ts'
import { type Flight, HELD_BACK_BYTES } from './flight.ts'
import { pause } from '../pause.ts'

export interface BlobFetcherOptions {
  readonly coordinator: Coordinator
  readonly peers: PeerClient
  readonly stats: ProxyStats
  readonly logger: FastifyBaseLogger
  /** Ends all fetches when the proxy stops. */
  readonly signal: AbortSignal
}

/** How long a follower waits before it asks again when its source broke off, in milliseconds. */
const REASK_MS = 100

/** How long a stream may bring nothing when its sender has lost the lease, in milliseconds. */
const STALLED_MS = 1_000

/** Gets a blob: from another node's copy, along with the node that fetches it, or from upstream as that node. */
export class BlobFetcher {
  readonly #options: BlobFetcherOptions

  constructor(options: BlobFetcherOptions) {
    this.#options = options
  }

  /** Flies a flight to its end: its blob is in the store then. @throws {OciError} when that cannot be */
  async run(flight: Flight, request: FetchRequest): Promise<void> {
    const { coordinator, signal } = this.#options
    await using claim = coordinator.claim(flight.id, groupOf(request))
    const forgotten = new Set<number>()
    let answer: ClaimAnswer | undefined = await claim.ask(signal)
    while (answer !== undefined) {
      switch (answer.kind) {
        case 'refused':
          throw answer.error
        case 'lead':
          await this.#lead(flight, request, answer.lead)
          return
        case 'copies':
          answer = await this.#fromCopies(flight, claim, answer, forgotten)
          break
        case 'follow':
          answer = await this.#follow(flight, claim, answer.source)
          break
      }
    }
    await claim.arrived()
  }

  /** Fetches from upstream, going on from the bytes that are there. */
  async #lead(flight: Flight, request: FetchRequest, lead: Lead): Promise<void> {
    const { signal, stats, logger } = this.#options
    // Bytes that came from others may be why the whole does not match; upstream then gets a chance to do it alone.
    const isMixed = flight.written > 0
    try {
      for (let isFirst = true; ; isFirst = false) {
        await fillFromUpstream(flight, request, { signal, stats, logger })
        if (flight.verify()) break
        logger.error({ digest: flight.digest, upstream: request.upstream.name }, 'the bytes do not match the digest')
        // It gets one too where all bytes are held back still: no reader has to be cut then.
        const isHeldBack = flight.total !== undefined && flight.total <= HELD_BACK_BYTES
        if (!isFirst || !(isMixed || isHeldBack)) {
          throw new OciError('UNKNOWN', `${request.upstream.name} sends wrong bytes for ${flight.digest}`)
        }
        await flight.restart()
      }
      await flight.commit()
      await lead.completed()
    } catch (error) {
      // The readers first: they must not wait for the lock server to learn that there is nothing to wait for.
      await flight.fail(error)
      if (signal.aborted || error instanceof StoreWriteError) await lead.released()
      else await lead.failed(error instanceof OciError ? error : new OciError('UNKNOWN', describe(error)))
      throw error
    }
  }

  /** Reads one of the copies. Undefined when the blob is there, else what to do next. */
  async #fromCopies(
    flight: Flight,
    claim: Claim,
    { copies, outcome }: Extract<ClaimAnswer, { kind: 'copies' }>,
    forgotten: Set<number>,
  ): Promise<ClaimAnswer | undefined> {
    const { signal } = this.#options
    let absent = 0
    for (const peer of copies) {
      const fault = await this.#fromPeer(flight, peer, signal)
      if (fault === undefined) return undefined
      if (fault.fault === 'absent') absent++
    }
    if (absent === copies.length && !forgotten.has(outcome)) {
      forgotten.add(outcome)
      await claim.forget(outcome)
    } else {
      claim.insist()
    }
    return claim.ask(signal)
  }

  /** Streams from a node that is still fetching. Undefined when the blob is there, else what to do next. */
  async #follow(flight: Flight, claim: Claim, source: Peer | undefined): Promise<ClaimAnswer | undefined> {
    const { signal } = this.#options
    const stop = new AbortController()
    const whileHere = AbortSignal.any([signal, stop.signal])
    const stream = source === undefined ? undefined : this.#fromPeer(flight, source, whileHere)
    const turn = this.#nextTurn(claim, whileHere, stream !== undefined)
    turn.catch(() => undefined)
    let next: ClaimAnswer | undefined
    try {
      const ended = stream?.then(() => undefined)
      next = await Promise.race(ended === undefined ? [turn] : [ended, turn])
      // Whoever led before has lost its lease, but may well go on: what it still sends need not be fetched again.
      if (next?.kind === 'lead' && ended !== undefined) await this.#whileItFlows(flight, ended)
    } finally {
      stop.abort()
      // Nothing else may write into the flight before the stream has let go of it.
      await stream
    }
    if (stream !== undefined && (await stream) === undefined) {
      // The turn may have come while the last bytes did.
      if (next?.kind === 'lead') await next.lead.completed()
      return undefined
    }
    flight.sourceLost()
    if (next !== undefined) return next
    await pause(REASK_MS, signal)
    return claim.ask(signal)
  }

  /** Waits for the end of a stream, as long as it brings anything. */
  async #whileItFlows(flight: Flight, ended: Promise<undefined>): Promise<void> {
    const hasEnded = ended.then(() => true)
    for (let before = -1; flight.written > before;) {
      before = flight.written
      if (await Promise.race([hasEnded, pause(STALLED_MS, this.#options.signal).then(() => false)])) return
    }
  }

  /** Waits for an answer that calls for leaving the stream: to lead, or to give up; without a stream, for any source. */
  async #nextTurn(claim: Claim, signal: AbortSignal, isStreaming: boolean): Promise<ClaimAnswer> {
    for (;;) {
      try {
        const answer = await claim.next(signal)
        if (answer.kind === 'lead' || answer.kind === 'refused') return answer
        if (!isStreaming && (answer.kind === 'copies' || answer.source !== undefined)) return answer
        // Done, and the stream will bring the rest. Asking on would be answered at once, again and again.
        if (answer.kind === 'copies') return new Promise(() => undefined)
      } catch (error) {
        signal.throwIfAborted()
        this.#options.logger.warn({ err: error }, 'the lock server is away while another node fetches')
        // The stream needs no lock server. When it breaks off, asking again finds out that there is none.
        if (isStreaming) return new Promise(() => undefined)
        return claim.ask(signal)
      }
    }
  }

  /** Reads a peer's copy, or what it has so far and what is to come. Undefined when the blob is there. */
  async #fromPeer(flight: Flight, peer: Peer, signal: AbortSignal): Promise<PeerError | undefined> {
    const { peers, stats, logger } = this.#options
    try {
      for (;;) {
        if (peers.isBlamed(peer, flight.id)) throw new PeerError('wrong', `${peer.node} sent wrong bytes before`)
        const isWhole = flight.written === 0
        const { size, body } = await peers.open(peer, flight.id, { offset: flight.written, signal })
        try {
          flight.announce({ size, source: 'peer' })
        } catch (error) {
          body.on('error', () => undefined).destroy()
          throw error
        }
        await pour(flight, body, { from: 'peer', name: peer.node, stats })
        if (flight.verify()) {
          await flight.commit()
          return undefined
        }
        await flight.restart()
        // Only who sent all of the bytes is to blame for them; otherwise it may show now that it was not at fault.
        if (isWhole) peers.blame(peer, flight.id)
      }
    } catch (error) {
      if (error instanceof StoreWriteError) throw error
      const fault = asPeerError(error, peer)
      if (!signal.aborted) {
        logger.info({ digest: flight.digest, peer: peer.node, at: flight.written, err: fault }, 'a peer was of no use')
      }
      return fault
    }
  }
}

function asPeerError(error: unknown, peer: Peer): PeerError {
  if (error instanceof PeerError) return error
  return new PeerError('unreachable', `${peer.node}: ${describe(error)}`, { cause: error })
}
