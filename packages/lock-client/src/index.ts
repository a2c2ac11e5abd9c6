export type { CopiesUpdated, LiveNode, LockRecord, WorkError } from '@layerlock/protocol'
export type {
  AcquireOptions,
  CallOptions,
  ForgetOptions,
  OnceOptions,
  OnceResult,
  WaitOptions,
  WatchEvent,
  WatchOptions,
} from './call-options.ts'
export type { LockClientOptions } from './client-options.ts'
export {
  ClientClosedError,
  LeaseLostError,
  LockError,
  LockFailedError,
  LockServerUnavailableError,
  LockTimeoutError,
  OutcomeInvalidError,
  SessionExpiredError,
} from './errors.ts'
export type {
  LeaseEndedMessage,
  LeaseLostMessage,
  LeaseMessage,
  RequestRetryMessage,
  SessionLostMessage,
  SessionOpenedMessage,
} from './diagnostics.ts'
export type { ClientErrorCode, LockErrorOptions } from './errors.ts'
export type { Lease, CompleteOptions, FailOptions } from './lease.ts'
export { LockClient } from './lock-client.ts'
export type { Logger } from './logger.ts'
export type { Semaphore, SemaphoreOptions } from './semaphore.ts'
export type { Ticket, TicketAnswer, Wish } from './ticket.ts'
export type { Watch } from './watch.ts'
