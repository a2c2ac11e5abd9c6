import type { Content, ContentStore } from '../content/content-store.ts'
import { type ContentId, digestOfId } from '../oci/content-id.ts'
import type { Digest } from '../oci/digest.ts'
import { OciError } from '../oci/oci-error.ts'
import type { FastifyBaseLogger } from 'fastify'
import type { BlobFetcher } from './blob-fetcher.ts'
import { type FetchRequest, FlightRequest, groupOf } from './fetch-request.ts'
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
  readonly request: FlightRequest
}

/** All content of this node: what is stored, and what is on its way. Any number of readers, one fetch for each digest. */
export class Flights {
  readonly #store: ContentStore
  readonly #fetcher: BlobFetcher
  readonly #logger: FastifyBaseLogger
  readonly #flights = new Map<ContentId, Promise<UnderWay>>()
  readonly #running = new Set<Promise<void>>()

  constructor(store: ContentStore, fetcher: BlobFetcher, logger: FastifyBaseLogger) {
    this.#store = store
    this.#fetcher = fetcher
    this.#logger = logger
  }

  /**
   * Opens content that is here or on its way; undefined when it is neither.
   *
   * @param isPatient whether to wait for a flight that has no source yet, which may take any time. Default true.
   * @throws {OciError} when its flight fails
   */
  async peek(id: ContentId, isPatient = true): Promise<Opened | undefined> {
    for (;;) {
      const stored = await this.#store.open(id)
      if (stored !== undefined) return { content: stored, source: 'store' }
      const entry = await this.#underWay(id)
      if (!isPatient && entry !== undefined && entry.flight.total === undefined) return undefined
      const joined = await entry?.flight.join()
      if (joined !== undefined) return { content: joined.content, source: 'inflight' }
      // A flight that has landed meanwhile is in the store now.
      if (entry === undefined && !this.#store.has(id)) return undefined
    }
  }

  /** Opens content, fetching it if need be. Resolves as soon as a source is secured. @throws {OciError} */
  async open(id: ContentId, request: FetchRequest): Promise<Opened> {
    for (;;) {
      const stored = await this.#store.open(id)
      if (stored !== undefined) return { content: stored, source: 'store' }
      const entry = await this.#underWay(id)
      if (entry === undefined && !this.#store.has(id) && !this.#flights.has(id)) {
        const started = await (await this.#start(id, request)).flight.join()
        if (started !== undefined) return started
      }
      entry?.request.join(request)
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
  async #underWay(id: ContentId): Promise<UnderWay | undefined> {
    const pending = this.#flights.get(id)
    const entry = await pending
    if (entry?.flight.isOver !== true) return entry
    if (this.#flights.get(id) === pending) this.#flights.delete(id)
    return undefined
  }

  /** Starts a flight, which belongs to no reader: it goes on when they all leave. */
  #start(id: ContentId, request: FetchRequest): Promise<UnderWay> {
    const own = new FlightRequest(request)
    const underWay = { group: groupOf(request), request: own }
    const starting = this.#store.ingest(id).then((ingest) => ({ flight: new Flight(id, ingest), ...underWay }))
    this.#flights.set(id, starting)
    const running = this.#fly(id, starting, own).finally(() => this.#running.delete(running))
    this.#running.add(running)
    return starting
  }

  /** A refusal is nothing unusual, and needs no more than a line; clients can cause any number of them. */
  #logFailure(id: ContentId, { upstream, repository }: FetchRequest, error: unknown): void {
    const about = { digest: digestOfId(id), upstream: upstream.name, repository }
    if (error instanceof OciError && error.permanent) {
      this.#logger.info({ ...about, code: error.code, reason: error.message }, 'upstream refuses')
    } else {
      this.#logger.warn({ ...about, err: error }, 'a blob could not be fetched')
    }
  }

  /** Never rejects: the readers learn of a failure from the flight. */
  async #fly(id: ContentId, starting: Promise<UnderWay>, request: FlightRequest): Promise<void> {
    try {
      const { flight } = await starting
      try {
        await this.#fetcher.run(flight, request)
      } catch (error) {
        this.#logFailure(id, request, error)
        await flight.fail(error)
      }
    } catch (error) {
      this.#logger.error({ digest: digestOfId(id), err: error }, 'the store cannot take a blob')
    } finally {
      if (this.#flights.get(id) === starting) this.#flights.delete(id)
    }
  }
}
