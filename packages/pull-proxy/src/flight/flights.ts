import type { Content, ContentStore } from '../content/content-store.ts'
import type { Digest } from '../oci/digest.ts'
import { OciError } from '../oci/oci-error.ts'
import type { FastifyBaseLogger } from 'fastify'
import type { BlobFetcher } from './blob-fetcher.ts'
import type { Visitor } from '../access/visitor.ts'
import { type FetchRequest, groupOf } from './fetch-request.ts'
import { Flight } from './flight.ts'

/** Where the bytes of an answer come from (`X-Layerlock-Source`). */
type AnswerSource = 'store' | 'inflight' | 'peer' | 'upstream'

export interface Opened {
  readonly content: Content
  readonly source: AnswerSource
}

/** What a flight looks like from outside. */
export interface FlightStatus {
  readonly digest: Digest
  /** Who sends now; `queued` while nobody does. */
  readonly source: 'peer' | 'upstream' | 'queued'
  readonly done: number
  /** Null until a source has told. */
  readonly total: number | null
  readonly readers: number
}

interface UnderWay {
  readonly flight: Flight
  /** Who asked first, as far as failures go. */
  readonly group: string
  /** What upstream is asked with. */
  readonly request: RenewableRequest
}

/** A request whose credentials are replaced by fresher ones: tokens may end before a long flight does. */
interface RenewableRequest extends FetchRequest {
  visitor?: Visitor | undefined
}

/** All content of this node: what is stored, and what is on its way. Any number of readers, one fetch for each digest. */
export class Flights {
  readonly #store: ContentStore
  readonly #fetcher: BlobFetcher
  readonly #logger: FastifyBaseLogger
  readonly #flights = new Map<Digest, Promise<UnderWay>>()
  readonly #running = new Set<Promise<void>>()

  constructor(store: ContentStore, fetcher: BlobFetcher, logger: FastifyBaseLogger) {
    this.#store = store
    this.#fetcher = fetcher
    this.#logger = logger
  }

  /** Opens content that is here or on its way; undefined when it is neither. @throws {OciError} when its flight fails */
  async peek(digest: Digest): Promise<Opened | undefined> {
    for (;;) {
      const stored = await this.#store.open(digest)
      if (stored !== undefined) return { content: stored, source: 'store' }
      const entry = await this.#underWay(digest)
      const joined = await entry?.flight.join()
      if (joined !== undefined) return { content: joined.content, source: 'inflight' }
      // A flight that has landed meanwhile is in the store now.
      if (entry === undefined && !this.#store.has(digest)) return undefined
    }
  }

  /** Opens content, fetching it if need be. Resolves as soon as a source is secured. @throws {OciError} */
  async open(digest: Digest, request: FetchRequest): Promise<Opened> {
    for (;;) {
      const stored = await this.#store.open(digest)
      if (stored !== undefined) return { content: stored, source: 'store' }
      const entry = await this.#underWay(digest)
      if (entry === undefined && !this.#store.has(digest) && !this.#flights.has(digest)) {
        const started = await (await this.#start(digest, request)).flight.join()
        if (started !== undefined) return started
      }
      if (entry !== undefined) renew(entry.request, request)
      try {
        const joined = await entry?.flight.join()
        if (joined !== undefined) return { content: joined.content, source: 'inflight' }
      } catch (error) {
        // Another repository's failure says nothing about this one.
        if (entry?.group === groupOf(request)) throw error
      }
    }
  }

  /** The flights that are under way. */
  async status(): Promise<FlightStatus[]> {
    const flights = await Promise.all([...this.#flights.values()].map((pending) => pending.catch(() => undefined)))
    return flights
      .flatMap((entry) => (entry === undefined || entry.flight.isOver ? [] : [entry.flight]))
      .map(({ digest, source, written, total, readers }) => ({
        digest,
        source: source ?? 'queued',
        done: written,
        total: total ?? null,
        readers,
      }))
  }

  /** Resolves when no flight is under way. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running)
  }

  /** The flight that can be joined, if there is one. One that has landed or failed is none any more. */
  async #underWay(digest: Digest): Promise<UnderWay | undefined> {
    const pending = this.#flights.get(digest)
    const entry = await pending
    if (entry?.flight.isOver !== true) return entry
    if (this.#flights.get(digest) === pending) this.#flights.delete(digest)
    return undefined
  }

  /** Starts a flight, which belongs to no reader: it goes on when they all leave. */
  #start(digest: Digest, request: FetchRequest): Promise<UnderWay> {
    const own = { ...request }
    const underWay = { group: groupOf(request), request: own }
    const starting = this.#store.ingest(digest).then((ingest) => ({ flight: new Flight(digest, ingest), ...underWay }))
    this.#flights.set(digest, starting)
    const running = this.#fly(digest, starting, own).finally(() => this.#running.delete(running))
    this.#running.add(running)
    return starting
  }

  /** A refusal is nothing unusual, and needs no more than a line; clients can cause any number of them. */
  #logFailure(digest: Digest, { upstream, repository }: FetchRequest, error: unknown): void {
    const about = { digest, upstream: upstream.name, repository }
    if (error instanceof OciError && error.permanent) {
      this.#logger.info({ ...about, code: error.code, reason: error.message }, 'upstream refuses')
    } else {
      this.#logger.warn({ ...about, err: error }, 'a blob could not be fetched')
    }
  }

  /** Never rejects: the readers learn of a failure from the flight. */
  async #fly(digest: Digest, starting: Promise<UnderWay>, request: FetchRequest): Promise<void> {
    try {
      const { flight } = await starting
      try {
        await this.#fetcher.run(flight, request)
      } catch (error) {
        this.#logFailure(digest, request, error)
        await flight.fail(error)
      }
    } catch (error) {
      this.#logger.error({ digest, err: error }, 'the store cannot take a blob')
    } finally {
      if (this.#flights.get(digest) === starting) this.#flights.delete(digest)
    }
  }
}

/** Takes over the credentials of somebody who was let in just now, and reads in the same repository. */
function renew(request: RenewableRequest, { upstream, repository, visitor }: FetchRequest): void {
  if (visitor === undefined || request.upstream !== upstream || request.repository !== repository) return
  request.visitor = visitor
}
