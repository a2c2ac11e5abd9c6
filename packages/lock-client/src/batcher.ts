import { BATCH_MAX_OPS, type BatchOpName } from '@layerlock/protocol'

/** One operation that goes out with others. */
export interface BatchEntry {
  readonly name: BatchOpName
  readonly key: string
  readonly sessionId: string
  /** The body of the call that it would be by itself. */
  readonly body: object
  /** `{"op":…,"key":…,…}`: as it stands in a batch. */
  readonly json: string
  readonly resolve: (answer: unknown) => void
  readonly reject: (error: unknown) => void
}

/**
 * Many operations go out in so many parts: while the server works on one, this side makes or reads another. What is less
 * than {@link LEAST_OPS} is not worth a request.
 */
const PARTS = 4
const LEAST_OPS = 32
/** What of an 1 MiB body a batch may fill, in characters: one can be three bytes long. */
const MAX_BATCH_CHARS = 256 * 1024

/** Collects the operations of one tick (until all that is due has run), and sends those of a session together. */
export class Batcher {
  readonly #send: (entries: readonly BatchEntry[]) => void
  #waiting: BatchEntry[] = []

  constructor(send: (entries: readonly BatchEntry[]) => void) {
    this.#send = send
  }

  add(entry: BatchEntry): void {
    if (this.#waiting.push(entry) === 1) process.nextTick(() => this.#flush())
  }

  #flush(): void {
    const entries = this.#waiting
    this.#waiting = []
    for (const batch of split(entries)) this.#send(batch)
  }
}

/** In their order, cut where the session changes or the batch is full. */
function* split(entries: readonly BatchEntry[]): Iterable<readonly BatchEntry[]> {
  const most = Math.min(BATCH_MAX_OPS, Math.max(LEAST_OPS, Math.ceil(entries.length / PARTS)))
  let batch: BatchEntry[] = []
  let chars = 0
  for (const entry of entries) {
    const isFull = batch.length === most || chars + entry.json.length > MAX_BATCH_CHARS
    if (batch.length > 0 && (isFull || batch[0]!.sessionId !== entry.sessionId)) {
      yield batch
      batch = []
      chars = 0
    }
    batch.push(entry)
    chars += entry.json.length
  }
  if (batch.length > 0) yield batch
}
