import { Type, type Static } from 'typebox'
import { KeyState } from './record.ts'

const strict = { additionalProperties: false }

/** Query parameters are text on the wire, those that are numbers too. */
export const ShowQuery = Type.Object(
  {
    waitMs: Type.Optional(
      Type.String({
        pattern: '^[0-9]{1,9}$',
        description: 'How long the answer may be held back while the key is held or queued, in milliseconds.',
      }),
    ),
  },
  strict,
)
export type ShowQuery = Static<typeof ShowQuery>

export const ForgetQuery = Type.Object(
  {
    ifToken: Type.Optional(
      Type.String({
        pattern: '^[1-9][0-9]{0,15}$',
        description: 'The fencing token of the outcome that is meant; without it the call is for operators.',
      }),
    ),
  },
  strict,
)
export type ForgetQuery = Static<typeof ForgetQuery>

const Prefix = Type.String({ maxLength: 512, description: 'Only keys that begin with this.' })

export const ListQuery = Type.Object(
  {
    prefix: Type.Optional(Prefix),
    state: Type.Optional(KeyState),
    limit: Type.Optional(
      Type.String({
        pattern: '^(?:[1-9][0-9]{0,2}|1000)$',
        description: 'The most records; 100 unless told, at most 1,000.',
      }),
    ),
    cursor: Type.Optional(Type.String({ maxLength: 2048, description: 'Where the page before ended.' })),
  },
  strict,
)
export type ListQuery = Static<typeof ListQuery>

export const EventsQuery = Type.Object({ prefix: Type.Optional(Prefix) }, strict)
export type EventsQuery = Static<typeof EventsQuery>
