import { hostname } from 'node:os'
import { SESSION_TTL_MS } from '@layerlock/protocol'
import { checkDuration } from './argument-checks.ts'
import { type Logger, silentLogger } from './logger.ts'
import { DEFAULT_RETRIES_PER_SECOND } from './retry-budget.ts'

export interface LockClientOptions {
  /**
   * The lock server, such as `http://127.0.0.1:7400`; may have a path, but no query, fragment or user. Default: the
   * environment's `LAYERLOCK_URL`.
   */
  readonly url?: string | undefined
  /**
   * The bearer token, where the server wants one: visible ASCII characters. Default: the environment's
   * `LAYERLOCK_TOKEN`, whose line feed at the end is left out, and which counts as none when it is empty.
   */
  readonly token?: string | undefined
  /** The certificates (PEM) of the authorities that are trusted, instead of the well-known ones. Not with `fetch`. */
  readonly ca?: string | undefined
  /** What others see this process called. Default: the host's name. */
  readonly node?: string | undefined
  /** Where peers of this session reach it: an http or https URL. Default: nowhere. */
  readonly endpoint?: string | undefined
  /** How long the session outlives its last renewal, in milliseconds: 1,000 to 600,000. Default 15,000. */
  readonly sessionTtlMs?: number | undefined
  /**
   * How long the session outlives its process, in milliseconds: with it a connection stays open that tells the server
   * when the process dies (and that keeps the process alive). Default: none, the TTL decides. A network that cuts that
   * connection, and lets no renewal through for so long, ends the session before the client can know: with it, a lease's
   * `signal` can come too late, and what the work writes to should look at the fencing token.
   */
  readonly disconnectGraceMs?: number | undefined
  /** The session of this process's predecessor, whose copies are taken over while it lives. */
  readonly resume?: string | undefined
  /** How long one HTTP try may take, in milliseconds, not counting the time that a call is parked. Default 5,000. */
  readonly tryTimeoutMs?: number | undefined
  /** How long the server may be away before calls give up, in milliseconds. Default 30,000. */
  readonly unavailableTimeoutMs?: number | undefined
  /**
   * How many retries a second this client may send at the least, all calls together; each ten calls allow one more.
   * Retries beyond that wait for their turn, within `unavailableTimeoutMs`. 1 to 10,000, default 10.
   */
  readonly retriesPerSecond?: number | undefined
  /** Used instead of undici: `(...call) => globalThis.fetch(...call)` for what intercepts the global one. */
  readonly fetch?: typeof globalThis.fetch | undefined
  readonly logger?: Logger | undefined
  /** Told of each session that was opened: a program that announces copies does so again here unless `resumed`. */
  readonly onSession?: ((session: { readonly id: string; readonly resumed: boolean }) => void) | undefined
}

export interface CheckedOptions extends Omit<LockClientOptions, 'url' | 'logger'> {
  readonly url: string
  readonly node: string
  readonly tryTimeoutMs: number
  readonly unavailableTimeoutMs: number
  readonly retriesPerSecond: number
  readonly logger: Logger
}

/** @throws {TypeError} naming the option, its value and what is allowed */
export function checkOptions(options: LockClientOptions): CheckedOptions {
  const url = checkUrl(options.url ?? process.env['LAYERLOCK_URL'])
  const token = checkToken(options.token ?? tokenOfEnvironment())
  const { least, greatest } = SESSION_TTL_MS
  const { node, endpoint } = options
  if (node !== undefined && (node.length === 0 || node.length > 253)) {
    throw new TypeError(`node: expected a name of 1 to 253 characters, got ${JSON.stringify(node)}`)
  }
  if (endpoint !== undefined && !isHttpUrl(endpoint)) {
    throw new TypeError(`endpoint: expected an http or https URL, got ${JSON.stringify(endpoint)}`)
  }
  checkDuration('sessionTtlMs', options.sessionTtlMs, least, greatest)
  checkDuration('disconnectGraceMs', options.disconnectGraceMs, 0, greatest)
  checkDuration('tryTimeoutMs', options.tryTimeoutMs, 1, 600_000)
  checkDuration('unavailableTimeoutMs', options.unavailableTimeoutMs, 0, Infinity)
  const { retriesPerSecond = DEFAULT_RETRIES_PER_SECOND } = options
  if (!(retriesPerSecond >= 1 && retriesPerSecond <= 10_000)) {
    throw new TypeError(`retriesPerSecond: expected a number from 1 to 10,000, got ${retriesPerSecond}`)
  }
  if (options.ca !== undefined) checkCa(options.ca, options.fetch)
  return {
    ...options,
    url,
    token,
    node: node ?? hostname(),
    tryTimeoutMs: options.tryTimeoutMs ?? 5_000,
    unavailableTimeoutMs: options.unavailableTimeoutMs ?? 30_000,
    retriesPerSecond,
    logger: options.logger ?? silentLogger,
  }
}

/** What a URL is made from must be in it as it is: `URL` would leave out spaces and line ends. */
function isHttpUrl(text: string): boolean {
  return !/[\s\p{Cc}]/u.test(text) && URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)
}

/** The paths of the calls are appended to it. */
function checkUrl(url: string | undefined): string {
  if (url !== undefined && isHttpUrl(url) && !/[?#]|:\/\/[^/]*@/.test(url)) return url
  const shown = JSON.stringify(url?.replace(/:\/\/[^/]*@/, '://***@'))
  throw new TypeError(
    `url: expected an http or https URL of a lock server, without spaces, query, fragment or user, got ${shown}`,
  )
}

/** The file or command that it came from is likely to end with a line feed. */
function tokenOfEnvironment(): string | undefined {
  return process.env['LAYERLOCK_TOKEN']?.replace(/\r?\n$/, '') || undefined
}

function checkToken(token: string | undefined): string | undefined {
  if (token === undefined || (typeof token === 'string' && /^[!-~]+$/.test(token))) return token
  const shown = typeof token === 'string' ? `${token.length} characters (not shown)` : typeof token
  throw new TypeError(`token: expected visible ASCII characters, without spaces or line ends, got ${shown}`)
}

function checkCa(ca: string, fetch: unknown): void {
  if (fetch !== undefined) throw new TypeError('ca: expected without fetch, which trusts whom it trusts, got both')
  if (typeof ca === 'string' && ca.includes('-----BEGIN CERTIFICATE-----')) return
  throw new TypeError(`ca: expected certificates in PEM, got ${typeof ca === 'string' ? 'other text' : typeof ca}`)
}
