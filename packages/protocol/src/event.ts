import { Type, type Static } from 'typebox'
import { FencingToken, WorkError } from './fields.ts'

/** What can happen to a key. `granted` says also that an offer was made; `expired`, that a hold or an offer was not kept. */
export const EventType = Type.Union([
  Type.Literal('queued'),
  Type.Literal('granted'),
  Type.Literal('completed'),
  Type.Literal('failed'),
  Type.Literal('released'),
  Type.Literal('cancelled'),
  Type.Literal('expired'),
  Type.Literal('forgotten'),
])
export type EventType = Static<typeof EventType>

/** One change of one key, as `GET /v1/events` tells it. */
export const LockEvent = Type.Object({
  type: EventType,
  key: Type.String(),
  node: Type.Optional(Type.String({ description: 'Whose ticket, hold or outcome it was.' })),
  fencingToken: Type.Optional(FencingToken),
  error: Type.Optional(WorkError),
})
export type LockEvent = Static<typeof LockEvent>
