import type { Content, ContentStore } from '../content/content-store.ts'
import type { Digest } from '../oci/digest.ts'
import { OciError } from '../oci/oci-error.ts'
import type { FastifyBaseLogger } from 'fastify'
import type { BlobFetcher } from './blob-fetcher.ts'
import type { FetchRequest } from './fill.ts'
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

/** All content of this node: what is stored, and what is on its way. Any number of readers, one fetch for each digest. */
export class Flights {
  readonly #store: ContentStore
  readonly #fetcher: BlobFetcher
  readonly #logger: FastifyBaseLogger
  readonly #flights = new Map<Digest, Promise<Flight>>()
  readonly #running = new Set<Promise<void>>()

  constructor(store: ContentStore, fetcher: BlobFetcher, logger: FastifyBaseLogger) {
    this.#store = store
    this.#fetcher = fetcher
    this.#logger = logger
  }

  /** Opens content that is here or on its way; undefined when it is neither. @throws {OciError} when its flight fails */
  async peek(digest: Digest): Promise<Opened | undefined> {
    do {
      const stored = await this.#store.open(digest)
      if (stored !== undefined) return { content: stored, source: 'store' }
      const joined = await (await this.#flights.get(digest))?.join()
      if (joined !== undefined) return { content: joined.content, source: 'inflight' }
      // A flight that has landed meanwhile is in the store now.
    } while (this.#store.has(digest))
    return undefined
  }

  /** Opens content, fetching it if need be. Resolves as soon as a source is secured. @throws {OciError} */
  async open(digest: Digest, request: FetchRequest): Promise<Opened> {
    for (;;) {
      const here = await this.peek(digest)
      if (here !== undefined) return here
      const started = await (this.#flights.has(digest) ? undefined : this.#start(digest, request))?.then((flight) =>
        flight.join(),
      )
      if (started !== undefined) return started
    }
  }

  /** The flights that are under way. */
  async status(): Promise<FlightStatus[]> {
    const flights = await Promise.all([...this.#flights.values()].map((pending) => pending.catch(() => undefined)))
    return flights
      .filter((flight) => flight !== undefined)
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

  /** Starts a flight, which belongs to no reader: it goes on when they all leave. */
  #start(digest: Digest, request: FetchRequest): Promise<Flight> {
    const starting = this.#store.ingest(digest).then((ingest) => new Flight(digest, ingest))
    this.#flights.set(digest, starting)
    const running = this.#fly(digest, starting, request).finally(() => this.#running.delete(running))
    this.#running.add(running)
    return starting
  }

  /** Never rejects: the readers learn of a failure from the flight. */
  async #fly(digest: Digest, starting: Promise<Flight>, request: FetchRequest): Promise<void> {
    try {
      const flight = await starting
      try {
        await this.#fetcher.run(flight, request)
      } catch (error) {
        this.#logger.warn({ digest, repository: request.repository, err: error }, 'a blob could not be fetched')
        // A client that is cut comes back at once, and must not meet the flight that has just failed.
        this.#flights.delete(digest)
        await flight.fail(error instanceof Error ? error : new OciError('UNKNOWN', String(error)))
      }
    } catch (error) {
      this.#logger.error({ digest, err: error }, 'the store cannot take a blob')
    } finally {
      if (this.#flights.get(digest) === starting) this.#flights.delete(digest)
    }
  }
}
