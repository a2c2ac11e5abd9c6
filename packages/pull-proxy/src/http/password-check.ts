import { hash as digest, randomBytes } from 'node:crypto'
import { verify } from '@node-rs/bcrypt'
import { LRUCache } from 'lru-cache'
import pLimit from 'p-limit'
import { OciError } from '../oci/oci-error.ts'
import { costliestOf, type Users } from './users.ts'

/**
 * bcrypt is slow on purpose, and runs on the threads that read files too, of which there are four. One at a time leaves
 * the others to those who are being served.
 */
const CONCURRENCY = 1
/** How many may wait for their password to be looked at. Whoever comes then is told to come back. */
const MAX_WAITING = 200
const BUSY_RETRY_MS = 1_000
/** How long credentials that were right are remembered after they were used last. */
const ACCEPTED_MS = 600_000
/** How long credentials that were wrong are remembered: many clients try the same ones again at once. */
const REFUSED_MS = 10_000
const MAX_REMEMBERED = 10_000

type Compare = (password: string, hash: string) => Promise<boolean>

/** Users, and what was found about credentials so far. */
export class PasswordCheck {
  readonly #users: Users
  readonly #decoy: string
  readonly #compare: Compare
  readonly #limit = pLimit(CONCURRENCY)
  /** What is remembered is no help to one who reads it out of memory later, and cannot be aimed at. */
  readonly #secret = randomBytes(32).toString('hex')
  /** The two have places of their own, so that nobody pushes users out by guessing. */
  readonly #accepted = new LRUCache<string, true>({ max: MAX_REMEMBERED, ttl: ACCEPTED_MS, updateAgeOnGet: true })
  readonly #refused = new LRUCache<string, true>({ max: MAX_REMEMBERED, ttl: REFUSED_MS })
  readonly #pending = new Map<string, Promise<boolean>>()

  /** @param compare a password with a hash. Default: bcrypt's */
  constructor(users: Users, compare: Compare = verify) {
    this.#users = users
    this.#compare = compare
    this.#decoy = costliestOf(users)
  }

  /**
   * Whether an `Authorization` header is that of a known user.
   *
   * @throws {OciError} `TOOMANYREQUESTS` when too many others wait for an answer
   */
  async accepts(authorization: string): Promise<boolean> {
    const given = parseBasic(authorization)
    if (given === undefined) return false
    const id = digest('sha256', this.#secret + authorization, 'base64')
    if (this.#accepted.get(id) !== undefined) return true
    if (this.#refused.get(id) !== undefined) return false
    const pending = this.#pending.get(id)
    if (pending !== undefined) return pending
    if (this.#pending.size >= MAX_WAITING) {
      throw new OciError('TOOMANYREQUESTS', 'too many passwords to be looked at', { retryAfterMs: BUSY_RETRY_MS })
    }
    const verifying = this.#limit(() => this.#verify(given))
      .then((isRight) => {
        const found = isRight ? this.#accepted : this.#refused
        found.set(id, true)
        return isRight
      })
      .finally(() => this.#pending.delete(id))
    this.#pending.set(id, verifying)
    return verifying
  }

  /** Takes as long for a user who is not known as for one who is. */
  async #verify({ user, password }: Credentials): Promise<boolean> {
    const hash = this.#users.get(user)
    const isRight = await this.#compare(password, hash ?? this.#decoy)
    return isRight && hash !== undefined
  }
}

interface Credentials {
  readonly user: string
  readonly password: string
}

function parseBasic(authorization: string): Credentials | undefined {
  const [, encoded] = /^Basic +([A-Za-z0-9+/=_-]+) *$/i.exec(authorization) ?? []
  if (encoded === undefined) return undefined
  const text = Buffer.from(encoded, 'base64').toString()
  const colon = text.indexOf(':')
  return colon < 0 ? undefined : { user: text.slice(0, colon), password: text.slice(colon + 1) }
}
