import { Type, type Static } from 'typebox'
import { Duration, Endpoint, NodeName, PRINTABLE, WaitMs } from './fields.ts'

/** The header that names the session on every call that acts for one. */
export const SESSION_HEADER = 'layerlock-session'

/** A session's least, greatest and default time to live, in milliseconds. */
export const SESSION_TTL_MS = { least: 1_000, greatest: 600_000, default: 15_000 } as const

const strict = { additionalProperties: false }

/**
 * What else a session says of itself. A record's own key type says nothing of the keys: its schema is the pattern `^.*$`,
 * and what does not match a pattern is let through.
 */
const Labels = Type.Record(Type.String(), Type.String({ maxLength: 256, pattern: PRINTABLE }), {
  maxProperties: 32,
  propertyNames: { type: 'string', minLength: 1, maxLength: 64, pattern: PRINTABLE },
  additionalProperties: false,
  description: 'Up to 32, with names of 1 to 64 and texts of up to 256 characters, none of them a control character.',
})

export const OpenSession = Type.Object(
  {
    node: NodeName,
    endpoint: Type.Optional(Endpoint),
    ttlMs: Type.Optional(Type.Integer({ minimum: SESSION_TTL_MS.least, maximum: SESSION_TTL_MS.greatest })),
    disconnectGraceMs: Type.Optional(Duration),
    labels: Type.Optional(Labels),
    resume: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
  },
  strict,
)
export type OpenSession = Static<typeof OpenSession>

export const SessionOpened = Type.Object({ id: Type.String(), ttlMs: Type.Integer(), resumed: Type.Boolean() })
export type SessionOpened = Static<typeof SessionOpened>

export const RenewSession = Type.Object({ waitMs: Type.Optional(WaitMs) }, strict)
export type RenewSession = Static<typeof RenewSession>

export const SessionRenewed = Type.Object({ ttlMs: Type.Integer() })
export type SessionRenewed = Static<typeof SessionRenewed>

export const LiveNode = Type.Object({
  node: Type.String(),
  endpoint: Type.Optional(Type.String()),
  sinceMs: Type.Integer({ description: 'How long the session has been open, in milliseconds.' }),
})
export type LiveNode = Static<typeof LiveNode>

export const Nodes = Type.Object({ nodes: Type.Array(LiveNode) })
export type Nodes = Static<typeof Nodes>
