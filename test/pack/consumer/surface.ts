// A user's program that is only compiled: every public name of the lock client, used as its documentation says. Where a
// line is preceded by `@ts-expect-error`, the types must refuse it.
import {
  type AcquireOptions,
  type CallOptions,
  ClientClosedError,
  type ClientErrorCode,
  type CompleteOptions,
  type CopiesUpdated,
  type FailOptions,
  type ForgetOptions,
  type Lease,
  LeaseLostError,
  type LiveNode,
  LockClient,
  type LockClientOptions,
  LockError,
  type LockErrorOptions,
  LockFailedError,
  type LockRecord,
  LockServerUnavailableError,
  LockTimeoutError,
  type Logger,
  type OnceOptions,
  type OnceResult,
  OutcomeInvalidError,
  type Semaphore,
  type SemaphoreOptions,
  SessionExpiredError,
  type Ticket,
  type TicketAnswer,
  type WaitOptions,
  type Wish,
  type WorkError,
} from '@layerlock/client'
import { isExactly } from './exactly.ts'

interface Report {
  readonly rows: number
}

const logger: Logger = { debug: () => undefined, warn: (context: object, message: string) => void [context, message] }

export const options: LockClientOptions = {
  url: 'http://127.0.0.1:7400',
  token: 'secret',
  node: 'worker-1',
  endpoint: 'http://10.0.0.1:5051',
  sessionTtlMs: 15_000,
  disconnectGraceMs: 1_000,
  resume: undefined,
  tryTimeoutMs: 5_000,
  unavailableTimeoutMs: 30_000,
  retriesPerSecond: 10,
  fetch: (...call) => globalThis.fetch(...call),
  logger,
  onSession: ({ id, resumed }) => void [id satisfies string, resumed satisfies boolean],
}

export const trusting: LockClientOptions = { ca: '-----BEGIN CERTIFICATE-----' }

// @ts-expect-error: the URL is no number
export const wrongUrl: LockClientOptions = { url: 7400 }
// @ts-expect-error: a duration without its unit
export const wrongName: LockClientOptions = { sessionTtl: 15 }

export async function clientCalls(locks: LockClient, signal: AbortSignal): Promise<void> {
  const waiting: WaitOptions = { signal, timeoutMs: 5_000 }
  const acquiring: AcquireOptions = { ...waiting, limit: 3, maxHoldMs: 60_000, group: 'blue' }
  const once: OnceOptions<Report> = { ...acquiring, retainMs: 600_000, verify: ({ rows }) => rows > 0 }
  const call: CallOptions = { signal }
  const forget: ForgetOptions = { signal, ifToken: 7 }

  await locks.connect(call)
  await locks.renew(call)
  isExactly<Lease>()(await locks.acquire('printer', acquiring))
  isExactly<Lease | undefined>()(await locks.tryAcquire('printer', { limit: undefined }))
  const result = await locks.once('report', async (lease): Promise<Report> => ({ rows: lease.attempt }), once)
  isExactly<OnceResult<Report>>()(result)
  isExactly<boolean>()(result.ran)
  isExactly<Report>()(result.value)
  isExactly<string>()(result.by)
  isExactly<number>()(result.attempts)
  isExactly<number>()(result.ageMs)
  const record = await locks.wait('report', waiting)
  isExactly<LockRecord>()(record)
  isExactly<string>()(record.key)
  isExactly<typeof record>()(await locks.poll('report', { signal }))
  isExactly<Ticket>()(locks.ticket('report', { group: 'blue' }))
  isExactly<boolean>()(await locks.forget('report', forget))
  const semaphore: Semaphore = locks.semaphore('slots', 3)
  const place: SemaphoreOptions = acquiring
  isExactly<Lease>()(await semaphore.acquire(place))
  isExactly<Lease | undefined>()(await semaphore.tryAcquire())
  isExactly<string>()(semaphore.key)
  isExactly<number>()(semaphore.limit)
  const copies = await locks.updateCopies({ add: ['blob/a'], remove: ['blob/b'] }, { signal })
  isExactly<CopiesUpdated>()(copies)
  isExactly<number>()(copies.added)
  const nodes = await locks.nodes({ signal })
  isExactly<LiveNode[]>()(nodes)
  isExactly<string>()(nodes[0]!.node)
  await locks.close()

  // @ts-expect-error: a key is needed
  await locks.acquire()
  // @ts-expect-error: durations are numbers
  await locks.acquire('printer', { timeoutMs: '5s' })
  // @ts-expect-error: a semaphore has a limit
  locks.semaphore('slots')
  // @ts-expect-error: `verify` looks at what the work gives
  await locks.once('report', async () => 5, { verify: (value: string) => value === '' })
  // @ts-expect-error: the work must be a function
  await locks.once('report', 5)
  // @ts-expect-error: the result says whether the work ran; nothing can be written there
  result.ran = false
  // @ts-expect-error: it may be held by another
  void (await locks.tryAcquire('printer')).held
}

export async function leaseCalls(lease: Lease): Promise<void> {
  isExactly<string>()(lease.key)
  isExactly<number>()(lease.fencingToken)
  isExactly<number>()(lease.attempt)
  isExactly<WorkError | undefined>()(lease.lastError)
  isExactly<AbortSignal>()(lease.signal)
  isExactly<boolean>()(lease.held)
  isExactly<void>()(lease.assertHeld())
  isExactly<Promise<void>>()(lease.renewed)
  await lease.progress(1, 2)
  const complete: CompleteOptions = { value: { rows: 3 }, retainMs: 1_000, copy: true, clear: false }
  await lease.complete(complete)
  const failure: FailOptions = { permanent: true, retryAfterMs: 1_000 }
  await lease.fail({ code: 'broken', message: 'it broke' }, failure)
  await lease.release()

  // @ts-expect-error: an error has a code and a message
  await lease.fail('it broke')
  // @ts-expect-error: the token is the server's
  lease.fencingToken = 5
}

export async function ticketCalls(ticket: Ticket, signal: AbortSignal): Promise<void> {
  const wish: Wish = { group: 'blue', enqueue: true, ignoreOutcome: false, unlessReferenced: false, limit: 1 }
  isExactly<string>()(ticket.key)
  isExactly<string>()(ticket.id)
  isExactly<TicketAnswer>()(await ticket.ask({ signal }))
  const answer = await ticket.next({ signal })
  if (answer.status === 'granted') isExactly<Lease>()(answer.lease)
  else if (answer.status === 'queued') isExactly<number>()(answer.position)
  else if (answer.status === 'done') isExactly<unknown>()(answer.value)
  else if (answer.status === 'failed') isExactly<string>()(answer.error.message)
  else isExactly<'busy'>()(answer.status)
  await ticket.progress(1, 2)
  await ticket.cancel()

  // @ts-expect-error: the ticket names itself
  use(wish.ticket)
  // @ts-expect-error: only a granted answer has a lease
  use(answer.lease)
}

function use(value: unknown): unknown {
  return value
}

/** What went wrong, in one word: each class is known by `instanceof`, and each error by its code. */
export function kindOf(error: unknown): string {
  if (error instanceof LockFailedError) return `${error.error.code} after ${error.attempts}`
  if (error instanceof LeaseLostError) return isCode(error, 'lease_lost')
  if (error instanceof LockTimeoutError) return isCode(error, 'timeout')
  if (error instanceof LockServerUnavailableError) return isCode(error, 'unavailable')
  if (error instanceof SessionExpiredError) return isCode(error, 'session_expired')
  if (error instanceof OutcomeInvalidError) return `${error.fencingToken}`
  if (error instanceof ClientClosedError) return isCode(error, 'closed')
  if (!(error instanceof LockError)) return 'not ours'
  isExactly<ClientErrorCode>()(error.code)
  isExactly<string | undefined>()(error.key)
  isExactly<number | undefined>()(error.retryAfterMs)
  isExactly<boolean>()(error.retryable)
  return error.name
}

function isCode(error: LockError, code: ClientErrorCode): string {
  return error.code === code ? code : error.message
}

export const errorOptions: LockErrorOptions = { key: 'printer', retryAfterMs: 1_000, cause: new Error('why') }
export const disposable: AsyncDisposable = new LockClient(options)
export const disposableLease = (lease: Lease): AsyncDisposable => lease

// @ts-expect-error: no such code
isCode(new ClientClosedError(), 'no_such_code')
