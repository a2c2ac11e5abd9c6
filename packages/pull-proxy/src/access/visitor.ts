import { createHmac, randomBytes } from 'node:crypto'

/** On whose behalf upstream is asked, where that is a client's own business (`auth = "passthrough"`). */
export interface Visitor {
  /** Tells visitors apart, in this process only; says nothing about their credentials. */
  readonly id: string
  /** The client's `Authorization` header. */
  readonly authorization: string | undefined
}

/** Ids end up in places that others can read; with a key of our own nobody can guess passwords from them. */
const KEY = randomBytes(32)

export function visitorOf(authorization: string | undefined): Visitor {
  if (authorization === undefined) return { id: 'anonymous', authorization }
  return { id: createHmac('sha256', KEY).update(authorization).digest('base64url').slice(0, 22), authorization }
}
