import { Type, type Static } from 'typebox'
import { Duration, FencingToken, Peer, Progress, Ticket, WaitMs, WorkError } from './fields.ts'

const strict = { additionalProperties: false }

export const Acquire = Type.Object(
  {
    ticket: Ticket,
    group: Type.Optional(Type.String({ minLength: 1, maxLength: 512 })),
    enqueue: Type.Optional(Type.Boolean()),
    waitMs: Type.Optional(WaitMs),
    ignoreOutcome: Type.Optional(Type.Boolean()),
    unlessReferenced: Type.Optional(Type.Boolean()),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100_000 })),
    maxHoldMs: Type.Optional(Type.Integer({ minimum: 1, maximum: 365 * 24 * 3600 * 1000 })),
  },
  strict,
)
export type Acquire = Static<typeof Acquire>

/** Who works on a key now, as others see it. */
export const Holder = Type.Object({
  node: Type.String(),
  endpoint: Type.Optional(Type.String()),
  progress: Type.Optional(Progress),
})
export type Holder = Static<typeof Holder>

export const Granted = Type.Object({
  status: Type.Literal('granted'),
  fencingToken: FencingToken,
  attempt: Type.Integer({ minimum: 1, description: '1 plus the failures in a row before this grant.' }),
  lastError: Type.Optional(WorkError),
  holdMs: Type.Optional(
    Type.Integer({ minimum: 0, description: 'What is left of `maxHoldMs`, where that was given.' }),
  ),
})
export const Queued = Type.Object({
  status: Type.Literal('queued'),
  position: Type.Integer({ minimum: 1, description: '1 is the next in line.' }),
  holder: Type.Optional(Holder),
  source: Type.Optional(Peer),
})
export const Busy = Type.Object({ status: Type.Literal('busy'), holder: Type.Optional(Holder) })
export const Done = Type.Object({
  status: Type.Literal('done'),
  value: Type.Optional(Type.Unknown()),
  fencingToken: FencingToken,
  by: Type.Object({ node: Type.String() }),
  ageMs: Type.Integer(),
  copies: Type.Array(Peer),
})
export const Failed = Type.Object({
  status: Type.Literal('failed'),
  error: WorkError,
  attempts: Type.Integer(),
  retryAfterMs: Type.Integer(),
})

/** The answer of `acquire`, by `status`. */
export const AcquireAnswer = Type.Union([Granted, Queued, Busy, Done, Failed])
export type AcquireAnswer = Static<typeof AcquireAnswer>
export type Granted = Static<typeof Granted>
export type Queued = Static<typeof Queued>
export type Busy = Static<typeof Busy>
export type Done = Static<typeof Done>
export type Failed = Static<typeof Failed>

export const Complete = Type.Object(
  {
    fencingToken: FencingToken,
    value: Type.Optional(Type.Unknown()),
    retainMs: Type.Optional(Duration),
    copy: Type.Optional(Type.Boolean()),
    clear: Type.Optional(Type.Boolean()),
  },
  strict,
)
export type Complete = Static<typeof Complete>

export const Fail = Type.Object(
  {
    fencingToken: FencingToken,
    error: WorkError,
    permanent: Type.Optional(Type.Boolean()),
    retryAfterMs: Type.Optional(Duration),
  },
  strict,
)
export type Fail = Static<typeof Fail>

export const Release = Type.Object({ fencingToken: FencingToken }, strict)
export type Release = Static<typeof Release>

export const Cancel = Type.Object({ ticket: Ticket }, strict)
export type Cancel = Static<typeof Cancel>

export const ReportProgress = Type.Object(
  {
    fencingToken: Type.Optional(FencingToken),
    ticket: Type.Optional(Ticket),
    done: Type.Number({ minimum: 0 }),
    total: Type.Optional(Type.Number({ minimum: 0 })),
  },
  strict,
)
export type ReportProgress = Static<typeof ReportProgress>

/** The answer of a change that says nothing but that it holds now. */
export const Accepted = Type.Object({ ok: Type.Literal(true) })
export type Accepted = Static<typeof Accepted>
