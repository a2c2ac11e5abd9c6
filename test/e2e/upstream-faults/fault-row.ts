import type { Fault } from '@layerlock/test-support'

/** The clients that the table is played with. */
export type ClientName = 'http' | 'containerd' | 'docker' | 'skopeo' | 'podman'

/**
 * Where something goes wrong: in the answer to a GET of the layer or of the config, by the registry or by the storage
 * host to which it redirects; to the `HEAD` that resolves the tag; or to the GET of the manifest by its digest.
 */
export type Place = 'layer' | 'storage' | 'config' | 'tag' | 'manifest'

/**
 * How a pull ends.
 *
 * - `served`: all of the image is there, and every digest is right.
 * - `failure`: what the client says, in its own words.
 * - a refusal: an answer with this status and code. `retryAfter` when it says when to come back.
 * - `cut`: the connection is closed before all bytes have come.
 */
export type Outcome = 'served' | 'cut' | Refusal | { readonly failure: string }

interface Refusal {
  readonly status: number
  readonly code: string
  readonly retryAfter?: true | undefined
}

/** A request as upstream saw it: for the whole, or with `Range` for what comes after the bytes that had arrived. */
type Asked = 'whole' | 'rest'

/** What upstream sees of the proxy during one pull, and what the client sees. */
interface Expectation {
  /** The requests with credentials for that content, for each hop; those of one client's pull. */
  readonly asked: readonly Asked[]
  /** How many times the content's size upstream may send at the most. Default 1, and 0 where it refuses. */
  readonly copies?: number
  /** Default `served`. */
  readonly outcome?: 'served' | 'cut' | Refusal
}

/** One line of the table: what goes wrong upstream, and what is expected then. */
export interface FaultRow extends Expectation {
  /** What goes wrong, as the end of a sentence that begins with the place. */
  readonly name: string
  readonly at: Place
  /** What goes wrong with the first requests there, one after the other; those that come later are answered well. */
  readonly faults?: readonly Fault[]
  /** What goes wrong with all requests there, until the fault is mended after the client's pull. */
  readonly always?: Fault
  /** Where a client sees something else than the others. */
  readonly clients?: Partial<Record<ClientName, Partial<Expectation>>>
  /** How long upstream wants to be left alone after it, in milliseconds. Default 0. */
  readonly pauseMs?: number
}

/** The size of the layers in the table. */
export const LAYER_BYTES = 1024 * 1024
/** A pause that clients are told of, because it is longer than the proxy sits out by itself. */
export const LONG_PAUSE_S = 12
/** Where transfers break. */
export const HALF_BYTES = LAYER_BYTES / 2

/** Clients with containers/image come again by themselves when a `Retry-After` is over, up to a minute later. */
const PATIENT_EXPECTATION: Expectation = { asked: ['whole', 'whole'], outcome: 'served', copies: 1 }
export const PATIENT = { skopeo: PATIENT_EXPECTATION, podman: PATIENT_EXPECTATION } as const

/**
 * How often a client asks for what it is refused, before it gives up. podman tries to get manifests again because the
 * registry itself, which it asks last, cannot be reached here; Docker Engine asks each mirror twice.
 */
function triesOf(client: ClientName, at: Place): number {
  if (client === 'docker') return 2
  return client === 'podman' && (at === 'tag' || at === 'manifest') ? 4 : 1
}

/**
 * Whether a row is played with a client. Docker Engine's cases share one upstream, which does not redirect and must not
 * want to be left alone by all; and what fails for ever it tries for a minute.
 */
export function isPlayed({ at, name, pauseMs }: FaultRow, client: ClientName): boolean {
  if (client !== 'docker') return true
  return at !== 'storage' && pauseMs === undefined && !(at === 'layer' && name.endsWith('for ever'))
}

/** What a client says of a refusal or a cut. */
function wordsOf(outcome: 'cut' | Refusal, client: ClientName): RegExp {
  // Docker Engine tells only of the registry, which it cannot reach.
  if (client === 'docker') return /./
  // containerd resumes what is cut, after bytes that were wrong.
  if (outcome === 'cut') return client === 'containerd' ? /unexpected commit digest/ : /unexpected EOF/
  const words: Readonly<Record<number, RegExp>> = {
    401: /401 Unauthorized|unauthorized: /,
    403: /403 \(?Forbidden|denied: /,
    // containerd tells of a tag that is not there only what the registry, which it asks last, says.
    404: /404 \(Not Found|manifest unknown: |not found|connection refused/,
    429: /429 Too Many Requests/,
    502: /502 \(?Bad Gateway/,
  }
  return words[outcome.status] ?? /never/
}

/** What is expected with a client; of what it says of a failure, a pattern. */
export function expectationOf(row: FaultRow, client: ClientName) {
  const expectation = { ...row, ...row.clients?.[client] }
  const { asked, outcome = 'served', copies = typeof outcome === 'string' ? 1 : 0 } = expectation
  if (client === 'http' || outcome === 'served') return { asked, copies, outcome }
  // Only plain HTTP shows status and code.
  const again = Array.from({ length: triesOf(client, row.at) }, () => asked).flat()
  return { asked: again, copies, outcome: { failure: wordsOf(outcome, client) } }
}
