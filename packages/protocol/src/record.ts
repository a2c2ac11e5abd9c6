import { Type, type Static } from 'typebox'
import { FencingToken, Peer, Progress, WorkError } from './fields.ts'

/** A key's state in one word. `queued`: held, and others wait. */
export const KeyState = Type.Union([
  Type.Literal('free'),
  Type.Literal('held'),
  Type.Literal('queued'),
  Type.Literal('done'),
  Type.Literal('failed'),
])
export type KeyState = Static<typeof KeyState>

/** The most holders, and the most waiters, that a record shows. */
export const SHOWN_ENTRIES = 1_000

/** The whole record of a key, as anyone may see it: no session ids, no tickets. */
export const LockRecord = Type.Object({
  key: Type.String(),
  state: KeyState,
  limit: Type.Integer(),
  holders: Type.Array(
    Type.Object({
      node: Type.String(),
      endpoint: Type.Optional(Type.String()),
      fencingToken: FencingToken,
      heldMs: Type.Integer(),
      offered: Type.Boolean({ description: 'Granted to a queued ticket that has not taken it up yet.' }),
      progress: Type.Optional(Progress),
    }),
  ),
  holderCount: Type.Optional(
    Type.Integer({ minimum: 0, description: 'How many hold it; `holders` shows the first 1,000 of them.' }),
  ),
  queue: Type.Array(
    Type.Object({
      node: Type.String(),
      waitedMs: Type.Integer(),
      progress: Type.Optional(Progress),
    }),
  ),
  queueLength: Type.Optional(
    Type.Integer({ minimum: 0, description: 'How many wait; `queue` shows the first 1,000 of them.' }),
  ),
  outcome: Type.Optional(
    Type.Object({
      value: Type.Optional(Type.Unknown()),
      fencingToken: FencingToken,
      by: Type.Object({ node: Type.String() }),
      ageMs: Type.Integer(),
      endsInMs: Type.Optional(Type.Integer()),
      copies: Type.Array(Peer),
      copyCount: Type.Integer(),
    }),
  ),
  failure: Type.Optional(
    Type.Object({
      error: WorkError,
      attempts: Type.Integer(),
      retryAfterMs: Type.Integer(),
      group: Type.Optional(Type.String()),
    }),
  ),
})
export type LockRecord = Static<typeof LockRecord>

export const COPIES_MAX_KEYS = 1_000

/** What a session has and has no longer. */
export const UpdateCopies = Type.Object(
  {
    add: Type.Optional(Type.Array(Type.String(), { maxItems: COPIES_MAX_KEYS })),
    remove: Type.Optional(Type.Array(Type.String(), { maxItems: COPIES_MAX_KEYS })),
  },
  { additionalProperties: false },
)
export type UpdateCopies = Static<typeof UpdateCopies>

export const CopiesUpdated = Type.Object({ added: Type.Integer(), removed: Type.Integer() })
export type CopiesUpdated = Static<typeof CopiesUpdated>

export const Forgotten = Type.Object({ forgotten: Type.Boolean() })
export type Forgotten = Static<typeof Forgotten>

/** The most records in one page. */
export const PAGE_MAX_RECORDS = 1_000

/** A page of records, in the order of their keys. */
export const LockPage = Type.Object({
  locks: Type.Array(LockRecord),
  cursor: Type.Optional(Type.String({ description: 'Names the next page; absent on the last one.' })),
})
export type LockPage = Static<typeof LockPage>
