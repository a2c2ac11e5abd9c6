import { Type, type Static } from 'typebox'

/** The longest time a call may be parked. Load balancers cut idle connections at 60 s; this stays well below. */
export const MAX_WAIT_MS = 25_000

export const FencingToken = Type.Integer({
  minimum: 1,
  maximum: Number.MAX_SAFE_INTEGER,
  description: 'Grows with every grant, across restarts and replicas too.',
})

export const Ticket = Type.String({
  minLength: 1,
  maxLength: 128,
  pattern: '^[!-~]+$',
  description: 'One wish for one key, named by the client (a UUID), so that a repeated request enqueues once.',
})

export const WaitMs = Type.Integer({
  minimum: 0,
  maximum: MAX_WAIT_MS,
  description: 'How long the answer may be held back until something changes, in milliseconds.',
})

/**
 * Text without control characters and lone surrogates, for it reaches people's terminals. Written so that it means the
 * same with and without the flag `u`.
 */
export const PRINTABLE = '^(?:[^\\u0000-\\u001F\\u007F-\\u009F\\uD800-\\uDFFF]|[\\uD800-\\uDBFF][\\uDC00-\\uDFFF])*$'

export const NodeName = Type.String({
  minLength: 1,
  maxLength: 253,
  pattern: PRINTABLE,
  description: 'The name of the node, for people; without control characters.',
})

export const Endpoint = Type.String({
  minLength: 1,
  maxLength: 2048,
  pattern: '^https?://',
  description: 'Where the peers of this session reach it: an http or https URL.',
})

/** Durations are capped at 365 days so that no sum of them leaves the safe integers. */
export const Duration = Type.Integer({ minimum: 0, maximum: 365 * 24 * 3600 * 1000 })

export const Progress = Type.Object({
  done: Type.Number({ minimum: 0 }),
  total: Type.Optional(Type.Number({ minimum: 0 })),
})

export type Progress = Static<typeof Progress>

/** Why a holder's work failed, in its own words. */
export const WorkError = Type.Object({
  code: Type.String({ minLength: 1, maxLength: 128 }),
  message: Type.String({ maxLength: 4096 }),
})

export type WorkError = Static<typeof WorkError>

/** A session that others can read from. */
export const Peer = Type.Object({ node: Type.String(), endpoint: Type.String() })
export type Peer = Static<typeof Peer>
