import type { TSchema } from 'typebox'
import { Accepted, Acquire, AcquireAnswer, Cancel, Complete, Fail, Release, ReportProgress } from './lock.ts'
import { CopiesUpdated, Forgotten, LockPage, LockRecord, UpdateCopies } from './record.ts'
import { Nodes, OpenSession, RenewSession, SessionOpened, SessionRenewed } from './session.ts'

/** One call of the HTTP API. A `{key}` in a path stands for a percent-encoded key. */
export interface Route {
  readonly method: 'GET' | 'POST' | 'DELETE'
  readonly path: string
  readonly summary: string
  readonly body?: TSchema
  readonly status: 200 | 201 | 204
  readonly answer?: TSchema
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
    body: RenewSession,
    answer: SessionRenewed,
  },
  closeSession: { method: 'DELETE', path: '/v1/sessions', summary: 'Ends the session.', status: 204 },
  nodes: { method: 'GET', path: '/v1/nodes', summary: 'Lists the live sessions.', status: 200, answer: Nodes },
  acquire: {
    ...post,
    path: '/v1/locks/{key}/acquire',
    summary: 'Asks for a key.',
    body: Acquire,
    answer: AcquireAnswer,
  },
  complete: {
    ...post,
    path: '/v1/locks/{key}/complete',
    summary: 'Ends a hold with an outcome.',
    body: Complete,
    answer: Accepted,
  },
  fail: {
    ...post,
    path: '/v1/locks/{key}/fail',
    summary: 'Ends a hold with an error.',
    body: Fail,
    answer: Accepted,
  },
  release: {
    ...post,
    path: '/v1/locks/{key}/release',
    summary: 'Ends a hold without an outcome.',
    body: Release,
    answer: Accepted,
  },
  cancel: {
    ...post,
    path: '/v1/locks/{key}/cancel',
    summary: 'Leaves the queue, or gives back what was just granted.',
    body: Cancel,
    answer: Accepted,
  },
  progress: {
    ...post,
    path: '/v1/locks/{key}/progress',
    summary: 'Tells others how far the work is.',
    body: ReportProgress,
    answer: Accepted,
  },
  copies: {
    ...post,
    path: '/v1/copies',
    summary: 'Says what this session has.',
    body: UpdateCopies,
    answer: CopiesUpdated,
  },
  lock: {
    method: 'GET',
    path: '/v1/locks/{key}',
    summary: 'Shows the record of a key; with `waitMs` not before it is neither held nor queued.',
    status: 200,
    answer: LockRecord,
  },
  locks: {
    method: 'GET',
    path: '/v1/locks',
    summary: 'Lists records, a page at a time: `prefix`, `state`, `limit`, `cursor`.',
    status: 200,
    answer: LockPage,
  },
  events: {
    method: 'GET',
    path: '/v1/events',
    summary: 'Tells what happens to the keys with a `prefix`, as Server-Sent Events; resumable by `Last-Event-ID`.',
    status: 200,
  },
  forget: {
    method: 'DELETE',
    path: '/v1/locks/{key}/outcome',
    summary: 'Forgets the outcome; with `ifToken` only the one with this token.',
    status: 200,
    answer: Forgotten,
  },
} as const satisfies Record<string, Route>
