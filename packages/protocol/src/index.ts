export { Batch, BATCH_MAX_OPS, BATCH_OPS, BatchAnswers } from './batch.ts'
export type { BatchOp, BatchOpName } from './batch.ts'
export { ERROR_CODES, ErrorBody, isErrorCode, ProtocolError } from './errors.ts'
export type { ErrorCode, ErrorDescription } from './errors.ts'
export { KEY_MAX_BYTES, parseKey } from './key.ts'
export type { Key } from './key.ts'
export { EventType, LockEvent } from './event.ts'
export { MAX_WAIT_MS, Peer, PRINTABLE, Progress, WorkError } from './fields.ts'
export {
  Accepted,
  Acquire,
  AcquireAnswer,
  Busy,
  Cancel,
  Complete,
  Done,
  Fail,
  Failed,
  Granted,
  Holder,
  Queued,
  Release,
  ReportProgress,
} from './lock.ts'
export { EventsQuery, ForgetQuery, ListQuery, ShowQuery } from './queries.ts'
export {
  COPIES_MAX_KEYS,
  CopiesUpdated,
  Forgotten,
  KeyState,
  LockPage,
  LockRecord,
  PAGE_MAX_RECORDS,
  SHOWN_ENTRIES,
  UpdateCopies,
} from './record.ts'
export { ROUTES } from './routes.ts'
export type { Route } from './routes.ts'
export {
  LiveNode,
  Nodes,
  OpenSession,
  RenewSession,
  SESSION_HEADER,
  SESSION_TTL_MS,
  SessionOpened,
  SessionRenewed,
} from './session.ts'
