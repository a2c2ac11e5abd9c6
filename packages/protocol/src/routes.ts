import type { TObject, TSchema } from 'typebox'
import { Batch, BatchAnswers } from './batch.ts'
import type { ErrorCode } from './errors.ts'
import { Accepted, Acquire, AcquireAnswer, Cancel, Complete, Fail, Release, ReportProgress } from './lock.ts'
import { EventsQuery, ForgetQuery, ListQuery, ShowQuery } from './queries.ts'
import { CopiesUpdated, Forgotten, LockPage, LockRecord, UpdateCopies } from './record.ts'
import { Nodes, OpenSession, RenewSession, SessionOpened, SessionRenewed } from './session.ts'

/** One call of the HTTP API. A `{key}` in a path stands for a percent-encoded key. */
export interface Route {
  readonly method: 'GET' | 'POST' | 'DELETE'
  readonly path: string
  readonly summary: string
  /** Whether the call acts for a session, which the header `Layerlock-Session` names. */
  readonly session?: true
  readonly query?: TObject
  readonly body?: TSchema
  readonly status: 200 | 201 | 204
  readonly answer?: TSchema
  /** What the answer is where it is not JSON. */
  readonly mediaType?: 'text/event-stream'
  /** What the call refuses besides what any call with such a body, key or session may refuse. */
  readonly refusals?: readonly ErrorCode[]
}

const post = { method: 'POST', status: 200 } as const

/** The HTTP API, version 1. Server, client and OpenAPI document are all made from these rows. */
export const ROUTES = {
  openSession: {
    method: 'POST',
    path: '/v1/sessions',
    summary: 'Opens a session.',
    body: OpenSession,
    status: 201,
    answer: SessionOpened,
  },
  renewSession: {
    ...post,
    path: '/v1/sessions/renew',
    summary: 'Renews the session.',
    session: true,
    body: RenewSession,
    answer: SessionRenewed,
  },
  closeSession: {
    method: 'DELETE',
    path: '/v1/sessions',
    summary: 'Ends the session.',
    session: true,
    status: 204,
  },
  nodes: { method: 'GET', path: '/v1/nodes', summary: 'Lists the live sessions.', status: 200, answer: Nodes },
  acquire: {
    ...post,
    path: '/v1/locks/{key}/acquire',
    summary: 'Asks for a key.',
    session: true,
    body: Acquire,
    answer: AcquireAnswer,
    refusals: ['lease_lost', 'limit_mismatch', 'in_use', 'queue_full'],
  },
  complete: {
    ...post,
    path: '/v1/locks/{key}/complete',
    summary: 'Ends a hold with an outcome.',
    session: true,
    body: Complete,
    answer: Accepted,
    refusals: ['lease_lost'],
  },
  fail: {
    ...post,
    path: '/v1/locks/{key}/fail',
    summary: 'Ends a hold with an error.',
    session: true,
    body: Fail,
    answer: Accepted,
    refusals: ['lease_lost'],
  },
  release: {
    ...post,
    path: '/v1/locks/{key}/release',
    summary: 'Ends a hold without an outcome.',
    session: true,
    body: Release,
    answer: Accepted,
    refusals: ['lease_lost'],
  },
  cancel: {
    ...post,
    path: '/v1/locks/{key}/cancel',
    summary: 'Leaves the queue, or gives back what was just granted.',
    session: true,
    body: Cancel,
    answer: Accepted,
  },
  progress: {
    ...post,
    path: '/v1/locks/{key}/progress',
    summary: 'Tells others how far the work is.',
    session: true,
    body: ReportProgress,
    answer: Accepted,
    refusals: ['lease_lost'],
  },
  batch: {
    ...post,
    path: '/v1/batch',
    summary: 'Carries out up to 256 operations of a session, with an answer for each.',
    session: true,
    body: Batch,
    answer: BatchAnswers,
  },
  copies: {
    ...post,
    path: '/v1/copies',
    summary: 'Says what this session has.',
    session: true,
    body: UpdateCopies,
    answer: CopiesUpdated,
  },
  lock: {
    method: 'GET',
    path: '/v1/locks/{key}',
    summary: 'Shows the record of a key; with `waitMs` not before it is neither held nor queued.',
    query: ShowQuery,
    status: 200,
    answer: LockRecord,
  },
  locks: {
    method: 'GET',
    path: '/v1/locks',
    summary: 'Lists records, a page at a time: `prefix`, `state`, `limit`, `cursor`.',
    query: ListQuery,
    status: 200,
    answer: LockPage,
  },
  events: {
    method: 'GET',
    path: '/v1/events',
    summary: 'Tells what happens to the keys with a `prefix`, as Server-Sent Events; resumable by `Last-Event-ID`.',
    query: EventsQuery,
    status: 200,
    mediaType: 'text/event-stream',
  },
  forget: {
    method: 'DELETE',
    path: '/v1/locks/{key}/outcome',
    summary: 'Forgets the outcome; with `ifToken` only the one with this token.',
    query: ForgetQuery,
    status: 200,
    answer: Forgotten,
    refusals: ['forbidden'],
  },
} as const satisfies Record<string, Route>
