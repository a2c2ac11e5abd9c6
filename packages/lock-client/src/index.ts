export type { LockClientOptions } from './client-options.ts'
export {
  ClientClosedError,
  LeaseLostError,
  LockError,
  LockFailedError,
  LockServerUnavailableError,
  LockTimeoutError,
  SessionExpiredError,
} from './errors.ts'
export type { ClientErrorCode, LockErrorOptions } from './errors.ts'
export type { Lease, CompleteOptions, FailOptions } from './lease.ts'
export { LockClient } from './lock-client.ts'
export type { AcquireOptions, OnceOptions, OnceResult, WaitOptions } from './lock-client.ts'
export type { Logger } from './logger.ts'
export type { Ticket, TicketAnswer, Wish } from './ticket.ts'
